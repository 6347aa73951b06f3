from headrace.train.doctor.examination import Examination, Tried
from headrace.train.doctor.knobs import best_knob
from headrace.train.doctor.measured import Cause
from headrace.train.doctor.page import page
from headrace.train.doctor.words import advice, cold_line, finding, network_line
from tests.train.doctor.figures import ON_CPU, ON_GPU, cold, job_with, ladder, network, timed


def test_each_finding_has_its_words() -> None:
    """A finding gives the binding resource first, then the advice and its predicted gain."""
    slow = ladder(100, 50, waited=0.5, memory=timed(100))
    assert finding(job_with(slow, job=ON_GPU)).startswith("storage-bound: with its files in memory")
    assert finding(job_with(ladder(100, 50, waited=0.5), job=ON_GPU)).startswith("input-bound: the step waits 50.0%")
    assert "decoding takes 50%" in finding(job_with(ladder(100, 50, waited=0.5), job=ON_GPU))
    assert finding(job_with(ladder(100, 100, compute=timed(150)))).startswith("bound by the exchange of gradients")
    assert "could feed 5.0 times this" in finding(job_with(ladder(100, 100), job=ON_GPU))
    assert "takes 33% of their CPU time" in finding(job_with(ladder(100, 66.7)))
    assert finding(job_with(ladder(100, 50, waited=0.5), job=ON_GPU)).endswith("(predicted: x2.00)")


def test_short_of_cpu_says_why() -> None:
    """The reason is a quota, other programs, or unknown."""
    said = {cause: finding(job_with(ladder(100, 100), got=1.0, cause=cause)) for cause in Cause}
    assert all("1.00 of 2 cores" in words for words in said.values())
    assert "quota" in said[Cause.QUOTA]
    assert "other programs leave" in said[Cause.OTHERS]
    assert "stopped repeatedly" in said[Cause.STOPPED]


def test_slower_than_alone_is_not_called_fine() -> None:
    """A step that does not wait and is still slower than alone has the words of a run's verdict."""
    assert "slower than on its own" in finding(job_with(ladder(100, 80), job=ON_GPU))


def test_advice_names_a_setting_or_says_that_there_is_none() -> None:
    """Advice that writes files is not tried; tried advice has both rates."""
    nothing = job_with(ladder(100, 99, cpu_input=0.1))
    assert advice(Examination(nothing, None)) == "no setting of the input would make this job faster"
    reading = job_with(ladder(100, 60, cpu_step=60, cpu_input=40))
    assert "so --try does not test it" in advice(Examination(reading, best_knob(reading)))
    few = job_with(ladder(100, 100, cpu_input=0.1, threads=timed(180)), job=ON_CPU.model_copy(update={"threads": 1}))
    knob = best_knob(few)
    assert knob is not None
    said = advice(Examination(few, knob, Tried(knob, 100, 175)))
    assert "--set runtime.threads=2" in said
    assert "predicted to give x1.80; tried: 100.0 images/s without this setting, 175.0 with it, x1.75" in said


def test_cold_line_says_whether_it_was_cold() -> None:
    """The line says whether files were evicted completely, partly, or whether that is unknown."""
    for left, words in ((0.0, "none of them stayed"), (0.4, "40.0% of them stayed"), (None, "unknown")):
        assert words in cold_line(Examination(job_with(ladder(100, 100), cold=cold(50, left)), None))
    assert cold_line(Examination(job_with(ladder(100, 100)), None)) == ""


def test_network_has_its_words() -> None:
    """The text gives the rate of shards and its effect: before the run, in the first epoch, or in every epoch."""
    for found, words in (
        (network(50, ahead=False, epochs=4), "all shards arrive before the first step, in 20 s: the run waits 33.3%"),
        (
            network(50, epochs=4),
            "all shards arrive in the first epoch and stay on this host: the run waits 20.0% of its time",
        ),
        (network(50, missed=0.8, epochs=2), "and the 80% for which there is no room in every epoch"),
    ):
        reading = job_with(ladder(100, 100), job=ON_GPU, network=found)
        assert network_line(reading).startswith("shards arrive at 5.0 MB/s, 50.0 images/s; ")
        assert words in network_line(reading)
        assert finding(reading).startswith("network-bound: shards arrive at 50.0 images/s")
        assert ("runtime.stage_limit" in finding(reading)) == bool(found.missed)
        assert any(line.startswith("network  ") for line in page(Examination(reading, None)).splitlines())
    assert network_line(job_with(ladder(100, 100))) == ""


def test_page_is_aligned() -> None:
    """All rungs are aligned with their headings, whatever their size, and a missed gate is reported."""
    lines = page(Examination(job_with(ladder(100, 99.5), cold=cold(50)), None, min_ratio=2.0)).splitlines()
    (head,) = (place for place, line in enumerate(lines) if line.startswith("rung"))
    table = lines[head : lines.index("", head)]
    assert len({len(line) for line in table}) == 1
    assert len(table) == 6
    assert any(line.startswith("gate") and line.endswith("missed") for line in lines)
