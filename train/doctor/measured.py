"""Defines the measurements of a job as plain values, which measuring processes write and the command reads."""

from enum import StrEnum
from statistics import median

from pydantic import BaseModel, ConfigDict


class Rung(StrEnum):
    """The parts of a job that are timed separately, called rungs.

    The first four rungs build on each other: `decode` includes the work of `read`, `copy` that of `decode`, and `input`
    that of `copy`.
    """

    READ = "read"
    DECODE = "decode"
    COPY = "copy"  # decoded and copied to the GPU
    INPUT = "input"  # cropped, resized, augmented and passed to the step
    COMPUTE = "compute"  # the step on a resident batch, without exchange of gradients
    STEP = "step"  # the same with the exchange: R_synth
    WHOLE = "whole"  # the step on real batches: R_real
    MEMORY = "memory"  # the same, with the files in memory
    THREADS = "threads"  # the step on a resident batch, with all cores that the process may use
    MIXED = "mixed"  # the input, with the decoder on the GPU


class Cause(StrEnum):
    """The reasons why a process may get fewer cores than its threads need."""

    NONE = "none"
    QUOTA = "quota"  # the quota of the control group
    OTHERS = "others"  # other programs
    STOPPED = "stopped"  # neither: it was stopped repeatedly, or its machine is slow to schedule


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Timed(_Values):
    """The measured turns of one rung (a part of the job), over all ranks: one turn in each round."""

    rates: tuple[float, ...]
    """The rate of each turn, in images a second."""
    cpu: tuple[float, ...]
    """The CPU time of each turn, in microseconds per image."""
    waited: tuple[float, ...]
    """The fraction of each turn's time in which the step waited for data; 0 for rungs without a step."""

    @property
    def rate(self) -> float:
        """The median rate over the turns, in images a second."""
        return median(self.rates)

    @property
    def cpu_microseconds(self) -> float:
        """The median CPU time over the turns, in microseconds per image."""
        return median(self.cpu)

    @property
    def stall(self) -> float:
        """The median fraction of time in which the step waited for data."""
        return median(self.waited)


class Cores(_Values):
    """The number of cores that all processes together got, and the number that they need: one for each thread."""

    asked: int
    got: tuple[float, ...]
    """The mean number of busy cores in each round of measurements."""
    cause: Cause

    @property
    def share(self) -> float:
        """The median number of busy cores as a fraction of the cores that the processes need."""
        return median(self.got) / self.asked


class Job(_Values):
    """The facts about the measured job, and how the job is divided among processes."""

    shards: str
    recipe: str
    model: str
    samples: int
    """The number of samples in the training split."""
    size: int
    """The side of the training images in pixels."""
    group: int
    groups: int
    """The number of groups in a step, over all processes."""
    processes: int
    threads: int
    """The number of CPU threads of each process."""
    usable: int
    """The number of cores that each process may use without sharing them with another process of the job."""
    device: str
    gpu: bool
    precision: str
    decode: str
    cached: bool
    """Whether images come from the cache of decoded images."""
    cache_lacks: str
    """Why there is no room for a cache of decoded images, on disk or in memory; "" if there is room."""
    shares_cores: bool
    """Whether step and input compute on the same cores."""
    remarks: tuple[str, ...]


class Cold(_Values):
    """The measurement of the whole job on files that were evicted from memory."""

    timed: Timed
    files: int
    bytes: int
    left: float | None
    """The largest fraction of the files' bytes that was still in memory after an eviction; None if unknown."""


class Network(_Values):
    """The rate at which tars of a set at a URL arrive on this host, and the fraction fetched again in every epoch."""

    images_per_second: float
    bytes_per_second: float
    missed: float
    """The fraction of the set that does not fit in the stage folder and must be fetched again in every epoch."""
    ahead: bool
    """Whether training runs while tars arrive, as with train.window; otherwise all tars are fetched before training."""
    epochs: int
    """The number of epochs of the run."""


class Measured(_Values):
    """All measurements of one job."""

    job: Job
    rungs: dict[Rung, Timed]
    before: tuple[float, ...]
    """The rate of the step alone (R_synth) in each round, measured before the whole job."""
    after: tuple[float, ...]
    """The rate of the step alone (R_synth) in each round, measured after the whole job."""
    cores: Cores
    cold: Cold | None = None
    network: Network | None = None
