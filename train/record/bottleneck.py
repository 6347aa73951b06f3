"""Finds out whether the input was the bottleneck, by comparing the rate on real data with the rate on one fixed batch.

R_real is the rate of training on real data, and R_synth the rate of the same step on one batch that stays on the
device. MLPerf Storage calls the ratio R_real / R_synth accelerator utilisation. The threshold of 95 % matches
TensorFlow's profiler, which calls a step "not input-bound" if it waits for input at most 5 % of the time. A run's last
lines and `headrace doctor` both use this module.
"""

from dataclasses import dataclass

COMPUTE_BOUND = 0.95
"""If a run reaches at least this fraction of the rate that the machine allows, its input is not the bottleneck."""


def ceiling(cpu_step: float, cpu_input: float, *, shared: bool) -> float:
    """Return the largest R_real / R_synth, from 0 to 1, that the machine allows.

    `cpu_step` and `cpu_input` are the CPU times per image of the step and of the input, in the same unit; cpu_step is
    positive. The result is 1 if step and input have separate cores. On `shared` cores, the input takes CPU time from
    the step, which alone would keep all cores busy. The result is then cpu_step / (cpu_step + cpu_input).
    """
    return cpu_step / (cpu_step + max(0.0, cpu_input)) if shared else 1.0


def sharing(threads: int, processes: int, cores: int) -> bool:
    """Return whether step and input must share cores, if each of the two uses `threads` CPU threads in each process."""
    return 2 * threads * processes > cores


@dataclass(frozen=True)
class Verdict:
    """Compares the rate of a run with the rate of its step alone, both in images a second over all ranks.

    `real` is the rate of the run; `synthetic` is the rate of the step on one batch that stays on the device. `stall` is
    the percentage of time in which the step waited for data. `fetching` is the percentage of time in which the step
    waited for shards that were being fetched from a URL. `ceiling` is the largest ratio of the two rates that the
    machine allows.
    """

    real: float
    synthetic: float
    stall: float
    ceiling: float = 1.0
    fetching: float = 0.0

    @property
    def ratio(self) -> float:
        """R_real / R_synth: the rate of the run divided by the rate of its step on one fixed batch."""
        return self.real / self.synthetic

    @property
    def reached(self) -> float:
        """The ratio of the rates divided by `ceiling`, the largest ratio that the machine allows."""
        return self.ratio / self.ceiling

    @property
    def compute_bound(self) -> bool:
        """Whether the step limits the run, so that a faster input would not make the run faster."""
        return self.reached >= COMPUTE_BOUND

    @property
    def finding(self) -> str:
        """A phrase that tells what limits the run."""
        if self.ratio >= COMPUTE_BOUND:
            return "compute-bound: the input is not the bottleneck"
        if self.compute_bound:
            return f"compute-bound: step and input share the cores, which allows a ratio of at most {self.ceiling:.3f}"
        if self.stall < 100 * (1 - COMPUTE_BOUND):
            return (
                f"compute-bound: the step waited for data only {self.stall:.1f} % of the time, but ran slower than "
                "on its own: the step shares its device or its cores with decoding or with other programs"
            )
        waited = f"input-bound: the step waited for data {self.stall:.1f} % of the time"
        if self.fetching >= 0.5 * self.stall:
            return (
                f"{waited}, {self.fetching:.1f} % for shards that were being fetched: storage or network is too slow, "
                "or too little of the set stays staged (runtime.stage_limit)"
            )
        return f"{waited}; `headrace doctor` finds out why"

    def line(self) -> str:
        """Return the rates and the finding as a line of text."""
        return f"R_real / R_synth = {self.real:.1f} / {self.synthetic:.1f} images/s = {self.ratio:.3f}: {self.finding}"
