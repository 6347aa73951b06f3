"""What was found, in sentences: what binds the job, and what to change."""

from headrace.train.doctor.examination import Examination
from headrace.train.doctor.measured import Cause, Rung
from headrace.train.doctor.reading import Reading, Resource
from headrace.train.machine.capacity import in_words


def finding(reading: Reading) -> str:
    """What binds the job, and what relieving that would give."""
    resource, gain = reading.binding
    if resource is Resource.COMPUTE:
        return _compute_bound(reading)
    said = {
        Resource.STORAGE: _storage,
        Resource.CPU: _cores,
        Resource.PREP: _prep,
        Resource.COPY: _copy,
        Resource.EXCHANGE: _exchange,
    }[resource](reading)
    return f"{said} (predicted: x{gain:.2f})"


def _compute_bound(reading: Reading) -> str:
    verdict = reading.verdict
    if not verdict.compute_bound:
        return verdict.finding
    shared = "" if verdict.ceiling > 0.99 else f", and takes {1 - verdict.ceiling:.0%} of their CPU time from the step"
    if reading.feeds is None:
        return "compute-bound: the input is not the bottleneck"
    if reading.measured.job.shares_cores:
        return f"compute-bound: the input alone, on the same cores, gives {reading.feeds:,.1f} times this rate{shared}"
    return f"compute-bound: the input could feed {reading.feeds:,.1f} times this"


def _storage(reading: Reading) -> str:
    memory = reading.rate(Rung.MEMORY) or reading.real
    return (
        f"storage-bound: with its files in memory the job runs at {memory:,.1f} images/s. Put the shard set on a "
        "faster disk of this machine, or leave more memory to its files"
    )


def _cores(reading: Reading) -> str:
    cores = reading.measured.cores
    got = f"{cores.share * cores.asked:.2f} of {cores.asked} cores"
    why = {
        Cause.QUOTA: f"the control group's quota leaves this job {got}: raise it (cpu.max, --cpus of a container)",
        Cause.OTHERS: f"other programs leave this job {got}: end them, or run it elsewhere or with a lower nice value",
        Cause.STOPPED: f"this job gets {got}, and neither a quota nor other programs are seen: it is stopped again "
        "and again, or its machine shares its processors",
        Cause.NONE: f"this job gets {got}",
    }[cores.cause]
    return f"short of CPU: {why}"


def _prep(reading: Reading) -> str:
    said = f"input-bound: the step waits {reading.stall:.1%} of its time for images"
    timed = reading.measured.rungs
    if not {Rung.READ, Rung.DECODE, Rung.INPUT} <= timed.keys():
        return said
    read, decode, whole = (timed[rung].cpu_microseconds for rung in (Rung.READ, Rung.DECODE, Rung.INPUT))
    parts = {"reading": read, "decoding": decode - read, "resizing and augmenting": whole - decode}
    largest = max(parts, key=lambda part: parts[part])
    return f"{said}; of their CPU time {largest} takes {max(0.0, parts[largest]) / whole:.0%}"


def _copy(_: Reading) -> str:
    return "input-bound: decoded images reach the device too slowly: decode there, with runtime.decode=mixed"


def _exchange(reading: Reading) -> str:
    compute = reading.rate(Rung.COMPUTE) or reading.synthetic
    return (
        f"bound by the exchange of gradients: without it the step runs at {compute:,.1f} images/s. Take larger groups, "
        "or another runtime.bucket_mib, or a faster link"
    )


def advice(found: Examination) -> str:
    """The knob, or that there is none."""
    knob = found.knob
    if knob is None:
        return "no setting of the input would make this job faster"
    said = f"--set {knob.setting} ({knob.words}) is predicted to give x{knob.gain:.2f}"
    if found.tried is not None:
        tried = found.tried
        return f"{said}; tried: {tried.before:,.1f} images/s before, {tried.after:,.1f} with it, x{tried.gain:.2f}"
    return f"{said}; it writes {knob.writes}, so --try leaves it out" if knob.writes else said


def cold_line(found: Examination) -> str:
    """The cold set: its rate, its stalls, and whether it was cold."""
    cold, stalls = found.reading.measured.cold, found.reading.cold_stalls
    if cold is None or stalls is None:
        return ""
    left = "how much stayed in memory is not known here"
    if cold.left is not None:
        left = f"{cold.left:.1%} of them stayed in memory" if cold.left > 0.001 else "none of them stayed in memory"
    return (
        f"{cold.timed.rate:,.1f} images/s after {in_words(cold.bytes)} in {cold.files} files were evicted, before each "
        f"turn; {left}; prep stall {stalls.prep:.1%}, fetch stall {stalls.fetch:.1%}"
    )
