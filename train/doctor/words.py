"""Puts the doctor's findings into sentences: what limits the job, and what to change."""

from headrace.shards.counts import counted
from headrace.train.doctor.examination import Examination
from headrace.train.doctor.measured import Cause, Rung
from headrace.train.doctor.reading import Reading, Resource
from headrace.train.machine.capacity import in_words


def finding(reading: Reading) -> str:
    """Return a sentence that tells what limits the job, and the predicted gain without that limit."""
    resource, gain = reading.binding
    if resource is Resource.COMPUTE:
        return _compute_bound(reading)
    said = {
        Resource.STORAGE: _storage,
        Resource.NETWORK: _network,
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
        return f"compute-bound: the input alone, on these cores, reaches {reading.feeds:,.1f} times this rate{shared}"
    return f"compute-bound: the input could feed {reading.feeds:,.1f} times this rate"


def _storage(reading: Reading) -> str:
    memory = reading.rate(Rung.MEMORY) or reading.real
    return (
        f"storage-bound: with its files in memory the job runs at {memory:,.1f} images/s. Put the shard set on a "
        "faster disk of this machine, or leave more memory for the files of the set"
    )


def _network(reading: Reading) -> str:
    network = reading.measured.network
    if network is None:
        return "network-bound"
    more = "" if network.missed else ", only in the first epoch"
    advice = (
        "Raise runtime.stage_limit, or divide the set among hosts with train.partitions"
        if network.missed
        else "Train more epochs on the staged shards, or fetch them over a faster network"
    )
    return (
        f"network-bound: shards arrive at {network.images_per_second:,.1f} images/s, but with staged shards the job "
        f"runs at {reading.real:,.1f}; the job waits for shards {reading.fetching:.1%} of the time{more}. {advice}"
    )


def network_line(reading: Reading) -> str:
    """Return a line that tells how fast shards arrive from a URL and how long the run waits; "" for a local set."""
    network = reading.measured.network
    if network is None:
        return ""
    rate = f"shards arrive at {in_words(int(network.bytes_per_second))}/s, {network.images_per_second:,.1f} images/s"
    if not network.ahead:
        seconds = reading.measured.job.samples / network.images_per_second
        when = f"all shards arrive before the first step, in {seconds:,.0f} s"
    elif network.missed:
        again = f"the {network.missed:.0%} for which there is no room in every epoch"
        when = f"all shards arrive in the first epoch, and {again}"
    else:
        when = "all shards arrive in the first epoch and stay on this host"
    return f"{rate}; {when}: the run waits {reading.fetching:.1%} of its time for shards"


def _cores(reading: Reading) -> str:
    cores = reading.measured.cores
    got = f"{cores.share * cores.asked:.2f} of {cores.asked} cores"
    why = {
        Cause.QUOTA: f"the control group's quota leaves this job {got}: raise the quota (cpu.max, --cpus of a "
        "container)",
        Cause.OTHERS: f"other programs leave this job {got}: end these programs, or run the job on another "
        "machine or with a lower nice value",
        Cause.STOPPED: f"this job gets {got}, and neither a quota nor other programs are seen: it is stopped "
        "repeatedly, or its machine shares its processors",
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
    return "input-bound: decoded images reach the GPU too slowly: decode JPEGs on the GPU, with runtime.decode=mixed"


def _exchange(reading: Reading) -> str:
    compute = reading.rate(Rung.COMPUTE) or reading.synthetic
    return (
        f"bound by the exchange of gradients: without an exchange the step runs at {compute:,.1f} images/s. Use larger "
        "groups, or another runtime.bucket_mib, or a faster link"
    )


def advice(found: Examination) -> str:
    """Return a sentence that names the setting to change, or says that no setting helps."""
    knob = found.knob
    if knob is None:
        return "no setting of the input would make this job faster"
    said = f"--set {knob.setting} ({knob.words}) is predicted to give x{knob.gain:.2f}"
    if found.tried is not None:
        tried = found.tried
        rates = f"{tried.before:,.1f} images/s without this setting, {tried.after:,.1f} with it"
        return f"{said}; tried: {rates}, x{tried.gain:.2f}"
    return f"{said}; this setting writes {knob.writes}, so --try does not test it" if knob.writes else said


def cold_line(found: Examination) -> str:
    """Return a line about the cold shard set: the job's rate, its stalls, and the share of the files left in memory."""
    cold, stalls = found.reading.measured.cold, found.reading.cold_stalls
    if cold is None or stalls is None:
        return ""
    left = "it is unknown how much stayed in memory"
    if cold.left is not None:
        left = f"{cold.left:.1%} of them stayed in memory" if cold.left > 0.001 else "none of them stayed in memory"
    return (
        f"{cold.timed.rate:,.1f} images/s with {in_words(cold.bytes)} in {counted(cold.files, 'file')} evicted before "
        f"each turn; {left}; prep stall {stalls.prep:.1%}, fetch stall {stalls.fetch:.1%}"
    )
