"""Was the input the bottleneck? The rate on real data against that of the same step on a batch that is already there.

R_real counts training on real data, R_synth the same step on a resident batch. Their ratio is the accelerator
utilisation of MLPerf Storage; the 95 % line is the 5 % of step time that TensorFlow's profiler takes for "not
input-bound". A run's last line and `headrace doctor` both judge by this module.
"""

from dataclasses import dataclass

COMPUTE_BOUND = 0.95
"""Of the rate that the machine allows: from there on the input is not the bottleneck."""


def ceiling(cpu_step: float, cpu_input: float, *, shared: bool) -> float:
    """The largest R_real / R_synth that there can be, 0 to 1, if step and input take so much CPU time an image.

    Where they have cores of their own that is 1. Where they share cores, and the step alone keeps them busy, each
    image also costs its input: cpu_step / (cpu_step + cpu_input). Both in the same unit; cpu_step is positive.
    """
    return cpu_step / (cpu_step + max(0.0, cpu_input)) if shared else 1.0


def sharing(threads: int, processes: int, cores: int) -> bool:
    """Whether a step on the CPU and its input share cores, if each has so many threads in each of the processes."""
    return 2 * threads * processes > cores


@dataclass(frozen=True)
class Verdict:
    """Images a second over all ranks, of the run and of the step alone; percent of time that it waited for data.

    `ceiling` is the largest ratio of the two that the machine allows.
    """

    real: float
    synthetic: float
    stall: float
    ceiling: float = 1.0

    @property
    def ratio(self) -> float:
        """R_real / R_synth."""
        return self.real / self.synthetic

    @property
    def reached(self) -> float:
        """The ratio as a fraction of the ceiling: what is judged."""
        return self.ratio / self.ceiling

    @property
    def compute_bound(self) -> bool:
        """Whether a faster input would not make the run faster."""
        return self.reached >= COMPUTE_BOUND

    @property
    def finding(self) -> str:
        """What bounds the run, in words."""
        if self.ratio >= COMPUTE_BOUND:
            return "compute-bound: the input is not the bottleneck"
        if self.compute_bound:
            return (
                "compute-bound: step and input share the cores, and a ratio of at most "
                f"{self.ceiling:.3f} is left to the step"
            )
        if self.stall < 100 * (1 - COMPUTE_BOUND):
            return (
                f"compute-bound: the step waited for data only {self.stall:.1f} % of the time, but was slower than "
                "alone: it shares its device or its cores with the decoding or with other programs"
            )
        return f"input-bound: the step waited for data {self.stall:.1f} % of the time; `headrace doctor` says for what"

    def line(self) -> str:
        """The rates and the finding."""
        return f"R_real / R_synth = {self.real:.1f} / {self.synthetic:.1f} images/s = {self.ratio:.3f}: {self.finding}"
