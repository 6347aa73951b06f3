"""What the figures say: which resource binds the job, and what relieving it would give. Pure functions."""

from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from headrace.train.doctor.measured import Measured, Rung
from headrace.train.doctor.stalls import Stalls, gain_of_waiting, stalls
from headrace.train.record.bottleneck import COMPUTE_BOUND, Verdict, ceiling

_DEPRIVED = 0.85  # share of its cores below which a process is kept from them
WORTH = 1 / COMPUTE_BOUND
"""The least gain that is worth a word."""


class Resource(StrEnum):
    """What can bind a job."""

    STORAGE = "storage"
    CPU = "cpu"  # kept from this job by a quota or by other programs
    PREP = "prep"  # decoding, resizing, augmenting
    COPY = "copy"  # to the device
    EXCHANGE = "exchange"  # of gradients
    COMPUTE = "compute"  # the step itself


@dataclass(frozen=True)
class Reading:
    """A measured job, read."""

    measured: Measured

    def rate(self, rung: Rung) -> float | None:
        """Images a second of a rung; None where it was not measured."""
        timed = self.measured.rungs.get(rung)
        return None if timed is None else timed.rate

    @property
    def real(self) -> float:
        """R_real, images a second."""
        return self.measured.rungs[Rung.WHOLE].rate

    @property
    def synthetic(self) -> float:
        """R_synth, images a second."""
        return self.real / self.ratio

    @property
    def ratios(self) -> tuple[float, ...]:
        """R_real / R_synth of each turn."""
        whole, step = self.measured.rungs[Rung.WHOLE], self.measured.rungs[Rung.STEP]
        return tuple(one / other for one, other in zip(whole.rates, step.rates, strict=True))

    @property
    def itself(self) -> tuple[float, ...]:
        """R_synth after the whole as a multiple of that before it, turn by turn: what the machine alone changes."""
        return tuple(one / other for one, other in zip(self.measured.after, self.measured.before, strict=True))

    @property
    def ratio(self) -> float:
        """The median of R_real / R_synth."""
        return median(self.ratios)

    @property
    def cpu_step(self) -> float:
        """CPU microseconds of an image in the step."""
        return self.measured.rungs[Rung.STEP].cpu_microseconds

    @property
    def cpu_input(self) -> float:
        """CPU microseconds of an image in the input; of the whole without the step where the input was not measured."""
        timed = self.measured.rungs.get(Rung.INPUT)
        if timed is not None:
            return timed.cpu_microseconds
        return max(0.0, self.measured.rungs[Rung.WHOLE].cpu_microseconds - self.cpu_step)

    @property
    def verdict(self) -> Verdict:
        """As a run judges itself at its end."""
        most = ceiling(self.cpu_step, self.cpu_input, shared=self.measured.job.shares_cores)
        return Verdict(self.real, self.synthetic, 100 * self.stall, most)

    @property
    def stall(self) -> float:
        """Fraction of the whole's time that the step waited for data."""
        return self.measured.rungs[Rung.WHOLE].stall

    @property
    def stalls(self) -> Stalls:
        """Prep and fetch stall, files as they lie."""
        return stalls(self.synthetic, self.rate(Rung.MEMORY) or self.real, self.real)

    @property
    def cold_stalls(self) -> Stalls | None:
        """The same on a cold set."""
        cold = self.measured.cold
        return None if cold is None else stalls(self.synthetic, self.real, cold.timed.rate)

    @property
    def feeds(self) -> float | None:
        """How many times R_real the input alone gives."""
        rate = self.rate(Rung.INPUT)
        return None if rate is None else rate / self.real

    @property
    def gains(self) -> dict[Resource, float]:
        """By what factor R_real would grow if a resource bound nothing; 1 where it does not bind."""
        job, allowed = self.measured.job, self.verdict.ceiling
        memory = self.rate(Rung.MEMORY) or self.real
        prep = gain_of_waiting(self.synthetic * allowed / memory, self.stall)
        deprived = 1 / self.measured.cores.share if self.measured.cores.share < _DEPRIVED else 1.0
        gains = {
            Resource.STORAGE: gain_of_waiting(memory / self.real, self.stall),
            Resource.CPU: min(deprived, prep) if job.gpu else 1 / (self.stall + (1 - self.stall) / deprived),
            Resource.PREP: 1.0 if deprived > 1 else prep,
            Resource.COPY: self._gain_of_copy(prep),
            Resource.EXCHANGE: self._gain_of_exchange(),
        }
        return {resource: max(1.0, gain) for resource, gain in gains.items()}

    @property
    def binding(self) -> tuple[Resource, float]:
        """What binds the job, and what relieving it would give; the step itself where nothing else is worth a word."""
        resource, gain = max(self.gains.items(), key=lambda pair: pair[1])
        return (resource, gain) if gain >= WORTH else (Resource.COMPUTE, 1.0)

    def _gain_of_copy(self, prep: float) -> float:
        """If the input is that much too slow, what a copy that takes no time would give."""
        decode, copy = self.rate(Rung.DECODE), self.rate(Rung.COPY)
        return 1.0 if decode is None or copy is None else min(prep, decode / copy)

    def _gain_of_exchange(self) -> float:
        """If the step alone is that much faster than with its exchange, what an exchange without cost would give."""
        compute = self.rate(Rung.COMPUTE)
        if compute is None or compute <= self.synthetic:
            return 1.0
        return compute / self.synthetic if self.ratio >= 1 else 1 / (1 - self.real * (1 / self.synthetic - 1 / compute))
