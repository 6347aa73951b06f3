"""Sets how OpenMP threads wait for one another."""

import os


def spin_briefly() -> None:
    """Let OpenMP threads spin for some microseconds before they sleep, unless the user chose otherwise.

    The threads wait for one another hundreds of times a step. A sleeping thread takes tens of microseconds to wake up,
    which is as long as a small operator runs. By default threads spin for milliseconds, which slows other programs on
    the same cores. So the threads spin for about the time that waking up takes (docs/decisions/0016). libgomp reads the
    setting only once, when torch loads libgomp. Therefore commands that train or evaluate call this function before
    they import torch. If libgomp is loaded already, the call has no effect.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "2000"
