import math

from hypothesis import given
from hypothesis import strategies as st

from headrace.train.doctor.knobs import best_knob
from headrace.train.doctor.reading import Reading
from tests.train.doctor.figures import ON_CPU, ON_GPU, job_with, ladder, timed

FEW = ON_CPU.model_copy(update={"threads": 1})
FULL = ON_CPU.model_copy(update={"cache_lacks": "needs 2 GB, free 1 GB"})


def setting(reading: Reading) -> str | None:
    """Return the setting of the best knob."""
    knob = best_knob(reading)
    return None if knob is None else knob.setting


@given(st.floats(1, 1e5), st.floats(1.1, 4))
def test_all_cores_are_advised(step: float, factor: float) -> None:
    """On a CPU, the gain of more threads is the measured gain of the step."""
    knob = best_knob(job_with(ladder(step, step, cpu_input=0.1, threads=timed(step * factor)), job=FEW))
    assert knob is not None
    assert knob.setting == "runtime.threads=2"
    assert math.isclose(knob.gain, factor, rel_tol=1e-6)
    assert not knob.writes


@given(st.floats(1, 1e5), st.floats(0.2, 0.7), st.floats(1.5, 9))
def test_decoder_on_the_gpu_is_advised_where_it_feeds_more(step: float, part: float, factor: float) -> None:
    """The predicted rate never exceeds that of the step alone."""
    whole = step * part
    job = ON_GPU.model_copy(update={"cache_lacks": "memory"})
    rungs = ladder(step, whole, waited=1 - part, input=timed(whole), mixed=timed(whole * factor))
    knob = best_knob(job_with(rungs, job=job))
    assert knob is not None
    assert knob.setting == "runtime.decode=mixed"
    assert math.isclose(knob.gain, min(factor, 1 / part), rel_tol=1e-6)


def test_cache_is_advised_where_decoding_takes_the_time() -> None:
    """The advice gives the bytes that it writes; without space for them there is no such advice."""
    rungs = ladder(100, 60, cpu_step=60, cpu_input=40)
    knob = best_knob(job_with(rungs))
    assert knob is not None
    assert knob.setting == "runtime.cache=decoded"
    assert knob.writes
    assert math.isclose(knob.gain, 100 / (60 + 20))  # reading 4 and resizing 16 are left of the 40
    assert setting(job_with(rungs, job=FULL)) is None
    assert setting(job_with(rungs, job=ON_CPU.model_copy(update={"cached": True}))) is None


def test_no_knob_where_none_is_worth_it() -> None:
    """If the input costs nothing, there is no advice."""
    assert setting(job_with(ladder(100, 99, cpu_input=0.1))) is None
    assert setting(job_with(ladder(100, 99), job=ON_GPU)) is None


def test_threads_are_advised_on_a_gpu_where_the_input_waits_for_cores() -> None:
    """Twice the threads feed twice as much, up to the rate of the step."""
    job = ON_GPU.model_copy(update={"usable": 8, "cache_lacks": "memory"})
    rungs = ladder(150, 100, waited=1 / 3, input=timed(100))
    knob = best_knob(job_with(rungs, job=job))
    assert knob is not None
    assert knob.setting == "runtime.threads=8"
    assert math.isclose(knob.gain, 1.5, rel_tol=1e-6)
