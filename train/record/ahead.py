"""What is still to be done of an epoch and of the run, in steps."""

from typing import NamedTuple


class Ahead(NamedTuple):
    """An epoch that begins, or goes on after a resume, in steps."""

    epoch: int  # from 1
    epochs: int
    steps: int  # of this epoch
    done: int  # of them
    later: int  # steps of the epochs after it
    images: int  # a step
