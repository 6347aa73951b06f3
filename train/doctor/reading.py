"""Interprets a job's measurements: which resource limits the job, and the job's gain in speed without that limit."""

from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from headrace.train.doctor.measured import Measured, Rung
from headrace.train.doctor.stalls import Stalls, gain_of_waiting, stalls
from headrace.train.record.bottleneck import COMPUTE_BOUND, Verdict, ceiling

_DEPRIVED = 0.85  # a process with a smaller share of its cores counts as short of CPU
WORTH = 1 / COMPUTE_BOUND
"""The smallest gain, as a factor, that is worth mentioning."""


class Resource(StrEnum):
    """The resources that can limit a job."""

    STORAGE = "storage"
    NETWORK = "network"  # from which the shards of a URL come
    CPU = "cpu"  # withheld from this job by a quota or by other programs
    PREP = "prep"  # decoding, resizing, augmenting
    COPY = "copy"  # to the device
    EXCHANGE = "exchange"  # of gradients
    COMPUTE = "compute"  # the step itself


@dataclass(frozen=True)
class Reading:
    """The interpretation of a job's measurements."""

    measured: Measured

    def rate(self, rung: Rung) -> float | None:
        """Return the rate of a rung in images a second; None if the rung was not measured."""
        timed = self.measured.rungs.get(rung)
        return None if timed is None else timed.rate

    @property
    def real(self) -> float:
        """The rate of the whole job, R_real, in images a second."""
        return self.measured.rungs[Rung.WHOLE].rate

    @property
    def synthetic(self) -> float:
        """The rate of the step alone, R_synth, in images a second."""
        return self.real / self.ratio

    @property
    def ratios(self) -> tuple[float, ...]:
        """The ratio R_real / R_synth of each round."""
        whole, step = self.measured.rungs[Rung.WHOLE], self.measured.rungs[Rung.STEP]
        return tuple(one / other for one, other in zip(whole.rates, step.rates, strict=True))

    @property
    def itself(self) -> tuple[float, ...]:
        """R_synth after the whole job divided by R_synth before it, in each round; 1 if the machine is steady."""
        return tuple(one / other for one, other in zip(self.measured.after, self.measured.before, strict=True))

    @property
    def ratio(self) -> float:
        """The median of R_real / R_synth over the rounds."""
        return median(self.ratios)

    @property
    def cpu_step(self) -> float:
        """The CPU time of the step, in microseconds per image."""
        return self.measured.rungs[Rung.STEP].cpu_microseconds

    @property
    def cpu_input(self) -> float:
        """The CPU time of the input in microseconds per image; if not measured, the whole job's minus the step's."""
        timed = self.measured.rungs.get(Rung.INPUT)
        if timed is not None:
            return timed.cpu_microseconds
        return max(0.0, self.measured.rungs[Rung.WHOLE].cpu_microseconds - self.cpu_step)

    @property
    def verdict(self) -> Verdict:
        """The verdict about the bottleneck, in the words that a run prints at its end."""
        most = ceiling(self.cpu_step, self.cpu_input, shared=self.measured.job.shares_cores)
        return Verdict(self.real, self.synthetic, 100 * self.stall, most)

    @property
    def stall(self) -> float:
        """The fraction of the whole job's time in which the step waited for data."""
        return self.measured.rungs[Rung.WHOLE].stall

    @property
    def stalls(self) -> Stalls:
        """The fractions of time lost to preparing images and to reading files, if files may still be in memory."""
        return stalls(self.synthetic, self.rate(Rung.MEMORY) or self.real, self.real)

    @property
    def cold_stalls(self) -> Stalls | None:
        """The fractions of time lost to preparing images and to reading files of a cold set; None if not measured."""
        cold = self.measured.cold
        return None if cold is None else stalls(self.synthetic, self.real, cold.timed.rate)

    @property
    def feeds(self) -> float | None:
        """The rate of the input alone as a multiple of R_real; None if the input was not measured."""
        rate = self.rate(Rung.INPUT)
        return None if rate is None else rate / self.real

    @property
    def gains(self) -> dict[Resource, float]:
        """For each resource, the factor by which R_real would grow if the resource were unlimited."""
        job, allowed = self.measured.job, self.verdict.ceiling
        memory = self.rate(Rung.MEMORY) or self.real
        prep = gain_of_waiting(self.synthetic * allowed / memory, self.stall)
        deprived = 1 / self.measured.cores.share if self.measured.cores.share < _DEPRIVED else 1.0
        gains = {
            Resource.STORAGE: gain_of_waiting(memory / self.real, self.stall),
            Resource.NETWORK: self._gain_of_network(),
            Resource.CPU: min(deprived, prep) if job.gpu else 1 / (self.stall + (1 - self.stall) / deprived),
            Resource.PREP: 1.0 if deprived > 1 else prep,
            Resource.COPY: self._gain_of_copy(prep),
            Resource.EXCHANGE: self._gain_of_exchange(),
        }
        return {resource: max(1.0, gain) for resource, gain in gains.items()}

    @property
    def binding(self) -> tuple[Resource, float]:
        """The limiting resource, and the gain without its limit; COMPUTE and 1 if no gain is worth mentioning."""
        resource, gain = max(self.gains.items(), key=lambda pair: pair[1])
        return (resource, gain) if gain >= WORTH else (Resource.COMPUTE, 1.0)

    @property
    def fetching(self) -> float:
        """The predicted fraction of the run's time in which the run waits for shards of a set at a URL."""
        return 1 - 1 / self._gain_of_network()

    def _gain_of_network(self) -> float:
        """Return the gain in R_real if all shards were staged (fetched) before the run.

        If nothing is staged, a run fetches all shards in the first epoch. In each later epoch the run again fetches the
        shards that do not fit in the stage folder.
        """
        network = self.measured.network
        if network is None:
            return 1.0
        behind = self.real / network.images_per_second  # the time to fetch an image over the time to train on it
        first = max(1.0, behind) if network.ahead else 1.0 + behind
        return (first + (network.epochs - 1) * max(1.0, network.missed * behind)) / network.epochs

    def _gain_of_copy(self, prep: float) -> float:
        """Return the gain in R_real if copying images to the GPU took no time.

        The result is at most `prep`, the gain if preparing images took no time.
        """
        decode, copy = self.rate(Rung.DECODE), self.rate(Rung.COPY)
        return 1.0 if decode is None or copy is None else min(prep, decode / copy)

    def _gain_of_exchange(self) -> float:
        """Return the gain in R_real if exchanging gradients took no time, as in the step measured without exchange."""
        compute = self.rate(Rung.COMPUTE)
        if compute is None or compute <= self.synthetic:
            return 1.0
        return compute / self.synthetic if self.ratio >= 1 else 1 / (1 - self.real * (1 / self.synthetic - 1 / compute))
