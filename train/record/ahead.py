"""Describes the steps that remain of an epoch and of the run, for the progress bar."""

from typing import NamedTuple


class Ahead(NamedTuple):
    """The numbers of steps of an epoch that begins, or continues after a resume, and of the later epochs."""

    epoch: int  # from 1
    epochs: int
    steps: int  # of this epoch
    done: int  # of them
    later: int  # steps of the epochs after it
    images: int  # a step
