"""Was the input the bottleneck? The run's rate against that of the same step on a batch that is already there.

R_real counts the training of the last epoch, R_synth the step on a resident batch. Their ratio is the
accelerator utilisation of MLPerf Storage; the 95 % line is the 5 % of step time that TensorFlow's profiler takes
for "not input-bound".
"""

from dataclasses import dataclass

_COMPUTE_BOUND = 0.95


@dataclass(frozen=True)
class Verdict:
    """Images a second over all ranks, of the run and of the step alone; percent of time that it waited for data."""

    real: float
    synthetic: float
    stall: float

    @property
    def ratio(self) -> float:
        """R_real / R_synth."""
        return self.real / self.synthetic

    @property
    def finding(self) -> str:
        """What bounds the run, in words."""
        if self.ratio >= _COMPUTE_BOUND:
            return "compute-bound: the input is not the bottleneck"
        if self.stall < 100 * (1 - _COMPUTE_BOUND):
            return (
                f"compute-bound: the step waited for data only {self.stall:.1f} % of the time, but was slower than "
                "alone: it shares its cores with the decoding or with other programs"
            )
        return f"input-bound: the step waited for data {self.stall:.1f} % of the time; give it more CPU threads"

    def line(self) -> str:
        """The rates and the finding."""
        return f"R_real / R_synth = {self.real:.1f} / {self.synthetic:.1f} images/s = {self.ratio:.3f}: {self.finding}"
