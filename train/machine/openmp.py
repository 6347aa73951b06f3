"""How OpenMP's threads wait for one another."""

import os


def spin_briefly() -> None:
    """Have OpenMP's threads spin for some microseconds before they sleep, unless the user chose how they wait.

    They wait for one another hundreds of times a step. Asleep they need tens of microseconds to wake up, as much as a
    small operator takes; by default they spin for milliseconds, which others on the same cores pay for. So they spin
    for about as long as waking up takes (docs/decisions/0016). libgomp reads this once, when torch loads it: a command
    that trains or evaluates calls this before it imports torch, and where others have loaded it, it stays as they did.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "2000"
