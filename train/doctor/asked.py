"""Describes the training job that `headrace doctor` examines, and which measurement a new process has to make."""

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from headrace.shards.urls import Location
from headrace.train.doctor.shape import Budget
from headrace.train.run.request import DEFAULT_RECIPE, Request

_PART = "HEADRACE_DOCTOR"  # what a process started by the doctor must measure; its ranks inherit it
# No weights are read or downloaded; they do not change the time of a step.
_RANDOM = ("model.init=random", "model.head=new")


class Kind(StrEnum):
    """The kinds of measurement that the doctor assigns to a process and its ranks."""

    LADDER = "ladder"
    COLD = "cold"  # the ladder, and the whole job on a cold set
    WHOLE = "whole"  # only R_synth and R_real


class Part(NamedTuple):
    """The measurement that the doctor assigns to a process and its ranks, and the time for each part of the job."""

    kind: Kind
    budget: Budget = Budget()

    def environment(self) -> dict[str, str]:
        """Return environment variables that assign this measurement to a new process."""
        return {_PART: f"{self.kind} {self.budget.seconds:g}"}

    @classmethod
    def of_this_process(cls) -> "Part | None":
        """Return the measurement that the doctor assigned to this process; None in the doctor's own process."""
        if _PART not in os.environ:
            return None
        kind, seconds = os.environ[_PART].split()
        return cls(Kind(kind), Budget(float(seconds)))


@dataclass(frozen=True)
class Asked:
    """The job to examine, described by the same arguments as for `headrace train`."""

    shards: Location
    recipe: str | None = None
    settings: tuple[str, ...] = ()
    processes: int = 1

    @property
    def recipe_name(self) -> str:
        """The name of the job's recipe, by default that of `headrace train`."""
        return self.recipe or DEFAULT_RECIPE

    def request(self) -> Request:
        """Return the job as a training request with random weights, which take the same time as trained weights."""
        return Request(self.shards, self.recipe, (*self.settings, *_RANDOM))
