import math

from hypothesis import given
from hypothesis import strategies as st

from headrace.train.doctor.measured import Cause, Rung
from headrace.train.doctor.reading import Resource
from tests.train.doctor.figures import ON_GPU, cold, job_with, ladder, network, timed

rates = st.floats(1, 1e5)
fractions = st.floats(0.01, 0.99)


@given(rates, fractions, fractions, st.floats(0.1, 1), st.booleans())
def test_no_gain_is_a_loss(step: float, part: float, waited: float, share: float, gpu: bool) -> None:
    """Relieving a resource makes no job slower; the binding one has the largest gain, or is the step itself."""
    job = {"job": ON_GPU, "got": 4 * share} if gpu else {"got": 2 * share}
    reading = job_with(ladder(step, step * part, waited=waited), **job)
    assert all(gain >= 1 for gain in reading.gains.values())
    resource, gain = reading.binding
    assert gain == reading.gains.get(resource, 1.0) if resource is not Resource.COMPUTE else gain == 1


@given(rates, fractions, fractions, st.floats(1, 10))
def test_units_do_not_matter(step: float, part: float, waited: float, factor: float) -> None:
    """A machine that is faster in everything has the same finding."""
    one = job_with(ladder(step, step * part, waited=waited))
    other = job_with(
        ladder(factor * step, factor * step * part, waited=waited, cpu_step=100 / factor, cpu_input=50 / factor)
    )
    for resource, gain in one.gains.items():
        assert math.isclose(gain, other.gains[resource], rel_tol=1e-6)
    assert math.isclose(one.verdict.reached, other.verdict.reached, rel_tol=1e-6)


@given(rates, st.floats(0.951, 1))
def test_step_that_does_not_wait_is_compute_bound(step: float, part: float) -> None:
    """A job on a GPU at the rate of the step alone is compute-bound: no other input would help."""
    reading = job_with(ladder(step, step * part), job=ON_GPU)
    assert reading.binding == (Resource.COMPUTE, 1.0)
    assert reading.verdict.compute_bound


@given(rates, st.floats(0.1, 0.9))
def test_step_that_waits_for_images_is_input_bound(step: float, part: float) -> None:
    """On a GPU, the gain is that of a step that no longer waits."""
    resource, gain = job_with(ladder(step, step * part, waited=1 - part), job=ON_GPU).binding
    assert resource is Resource.PREP
    assert math.isclose(gain, 1 / part, rel_tol=1e-6)


@given(rates, st.floats(0.1, 0.9))
def test_files_in_memory_show_a_slow_storage(step: float, part: float) -> None:
    """If the job is as fast as the step once its files are in memory, the storage binds."""
    rungs = ladder(step, step * part, waited=1 - part, memory=timed(step))
    reading = job_with(rungs, job=ON_GPU)
    resource, gain = reading.binding
    assert resource is Resource.STORAGE
    assert math.isclose(gain, 1 / part, rel_tol=1e-6)
    assert reading.stalls.prep < 1e-6
    assert math.isclose(reading.stalls.fetch, 1 - part, rel_tol=1e-6)


@given(rates, st.floats(0.1, 0.8), st.sampled_from(Cause))
def test_missing_cores_bind_a_job_on_the_cpu(step: float, share: float, cause: Cause) -> None:
    """A step that always computes, on some of its cores, would be faster in proportion with all of them."""
    resource, gain = job_with(ladder(step, step), got=2 * share, cause=cause).binding
    assert resource is Resource.CPU
    assert math.isclose(gain, 1 / share, rel_tol=1e-6)


@given(rates, fractions, st.floats(1.1, 3))
def test_exchange_is_named(step: float, part: float, factor: float) -> None:
    """If the step is much faster without its exchange, the exchange binds."""
    reading = job_with(ladder(step, step, compute=timed(factor * step)))
    resource, gain = reading.binding
    assert resource is Resource.EXCHANGE
    assert math.isclose(gain, factor, rel_tol=1e-6)
    assert job_with(ladder(step, step, compute=timed(step * part))).gains[Resource.EXCHANGE] == 1


def test_shared_cores_have_a_ceiling() -> None:
    """If images cost a step 0.63 of their CPU time, the ratio cannot exceed 0.63."""
    reading = job_with(ladder(100, 63, waited=0.001, cpu_step=63, cpu_input=37))
    assert math.isclose(reading.verdict.ceiling, 0.63)
    assert math.isclose(reading.verdict.reached, 1.0)
    assert reading.binding[0] is Resource.COMPUTE
    assert math.isclose(reading.stalls.prep, 0.37)


def test_cold_set_has_stalls_of_its_own() -> None:
    """Stalls of a cold set are compared with the job on files in memory."""
    reading = job_with(ladder(100, 100), cold=cold(50))
    assert reading.cold_stalls is not None
    assert math.isclose(reading.cold_stalls.fetch, 0.5)
    assert job_with(ladder(100, 100)).cold_stalls is None


def test_whole_alone_has_its_input_by_difference() -> None:
    """If the input was not measured, its CPU time is that of the job minus that of the step."""
    rungs = ladder(100, 90)
    reading = job_with({rung: rungs[rung] for rung in [Rung.STEP, Rung.WHOLE]})
    assert math.isclose(reading.cpu_input, 50)
    assert reading.feeds is None


@given(rates, fractions, fractions, st.integers(1, 100), st.booleans())
def test_network_is_the_time_of_the_run(rate: float, part: float, missed: float, epochs: int, ahead: bool) -> None:
    """In the first epoch all shards are fetched, in later epochs only those without space in the stage."""
    found = network(part * rate, missed=missed, ahead=ahead, epochs=epochs)
    reading = job_with(ladder(rate, rate), job=ON_GPU, network=found)
    train, fetch = 1000 / rate, 1000 / (part * rate)
    first = max(train, fetch) if ahead else train + fetch
    whole = first + sum(max(train, missed * fetch) for _ in range(1, epochs))
    assert math.isclose(reading.gains[Resource.NETWORK], whole / (epochs * train), rel_tol=1e-6)
    assert math.isclose(reading.fetching, 1 - epochs * train / whole, abs_tol=1e-9)


def test_network_binds_where_it_is_the_slowest() -> None:
    """A network half as fast as the job binds in a run of one epoch, but not in one of a hundred."""
    once, often = (job_with(ladder(100, 100), job=ON_GPU, network=network(50, epochs=epochs)) for epochs in (1, 100))
    assert once.binding == (Resource.NETWORK, 2.0)
    assert often.binding[0] is Resource.COMPUTE
    full = job_with(ladder(100, 100), job=ON_GPU, network=network(50, missed=0.9, epochs=100))
    assert full.binding[0] is Resource.NETWORK
    assert job_with(ladder(100, 100), job=ON_GPU).fetching == 0
