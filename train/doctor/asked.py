"""What a user asks of the doctor about one job."""

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from headrace.train.doctor.shape import Budget
from headrace.train.run.request import DEFAULT_RECIPE, Request

_PART = "HEADRACE_DOCTOR"  # what a process that the doctor started is to measure; its ranks have it too
_RANDOM = ("model.init=random", "model.head=new")  # no weights are read or downloaded; they cost no time in a step


class Kind(StrEnum):
    """What is measured in one process, or its ranks."""

    LADDER = "ladder"
    COLD = "cold"  # the ladder, and the whole on a cold set
    WHOLE = "whole"  # R_synth and R_real alone


class Part(NamedTuple):
    """What is measured in one process, or its ranks, and in which time."""

    kind: Kind
    budget: Budget = Budget()

    def environment(self) -> dict[str, str]:
        """What tells a process that this is its part."""
        return {_PART: f"{self.kind} {self.budget.seconds:g}"}

    @classmethod
    def of_this_process(cls) -> "Part | None":
        """The part that the doctor gave to this process; None where it is the doctor."""
        if _PART not in os.environ:
            return None
        kind, seconds = os.environ[_PART].split()
        return cls(Kind(kind), Budget(float(seconds)))


@dataclass(frozen=True)
class Asked:
    """A job, as `headrace train` is asked for it."""

    shards: Path
    recipe: str | None = None
    settings: tuple[str, ...] = ()
    processes: int = 1

    @property
    def recipe_name(self) -> str:
        """What the recipe is called."""
        return self.recipe or DEFAULT_RECIPE

    def request(self) -> Request:
        """The job, from random weights."""
        return Request(self.shards, self.recipe, (*self.settings, *_RANDOM))
