"""What was measured of a job, as plain values: the measuring processes write them, and the command reads them."""

from enum import StrEnum
from statistics import median

from pydantic import BaseModel, ConfigDict


class Rung(StrEnum):
    """What is run alone. Each of the first four does what the one before does, and more."""

    READ = "read"
    DECODE = "decode"
    COPY = "copy"  # decoded and on the GPU
    INPUT = "input"  # cropped, resized, augmented, in the step's hands
    COMPUTE = "compute"  # the step on a resident batch, gradients not exchanged
    STEP = "step"  # the same with the exchange: R_synth
    WHOLE = "whole"  # the step on real batches: R_real
    MEMORY = "memory"  # the same, with the files in memory
    THREADS = "threads"  # the step on a resident batch, with all cores that the process may use
    MIXED = "mixed"  # the input, with the decoder on the GPU


class Cause(StrEnum):
    """What keeps a process from its cores."""

    NONE = "none"
    QUOTA = "quota"  # of the control group
    OTHERS = "others"  # other programs
    STOPPED = "stopped"  # neither: it was stopped again and again, or its machine is slow to schedule


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Timed(_Values):
    """One rung's turns, over all ranks."""

    rates: tuple[float, ...]
    """Images a second."""
    cpu: tuple[float, ...]
    """CPU microseconds an image."""
    waited: tuple[float, ...]
    """Fraction of the time that the step waited for data; zeros for rungs without a step."""

    @property
    def rate(self) -> float:
        """The median rate."""
        return median(self.rates)

    @property
    def cpu_microseconds(self) -> float:
        """The median CPU time of an image."""
        return median(self.cpu)

    @property
    def stall(self) -> float:
        """The median fraction of waiting."""
        return median(self.waited)


class Cores(_Values):
    """What all processes together got of the cores that they ask for, one for each thread of the step."""

    asked: int
    got: tuple[float, ...]
    """Busy cores, a figure a turn."""
    cause: Cause

    @property
    def share(self) -> float:
        """The median of what they got, as a fraction of what they ask for."""
        return median(self.got) / self.asked


class Job(_Values):
    """What was measured, and how it is shared."""

    shards: str
    recipe: str
    model: str
    samples: int
    """Of the training split."""
    size: int
    """Side of the training images, pixels."""
    group: int
    groups: int
    """Groups of a step, over all processes."""
    processes: int
    threads: int
    """CPU threads of each process."""
    usable: int
    """Cores that each process may use for itself."""
    device: str
    gpu: bool
    precision: str
    decode: str
    cached: bool
    """Whether images come from the decoded cache."""
    cache_lacks: str
    """What there is too little of for the decoded cache, in words; nothing where it fits."""
    shares_cores: bool
    """Whether step and input compute on the same cores."""
    remarks: tuple[str, ...]


class Cold(_Values):
    """The whole after the set's files were evicted from memory."""

    timed: Timed
    files: int
    bytes: int
    left: float | None
    """Fraction of the bytes that stayed in memory all the same, at the most; None where the system does not tell."""


class Measured(_Values):
    """All of it."""

    job: Job
    rungs: dict[Rung, Timed]
    before: tuple[float, ...]
    """R_synth of each turn, measured before the whole."""
    after: tuple[float, ...]
    """The same, measured after it."""
    cores: Cores
    cold: Cold | None = None
