"""Makes the tables that loggers receive: the recipe, and numbers with names such as "step/loss" or "epoch/lr"."""

import math
from collections.abc import Mapping
from typing import Any

from headrace.train.record.epoch import EpochReport
from headrace.train.record.moments import StepLogged


def of_steps(logged: StepLogged) -> dict[str, float]:
    """Return the mean loss of the last steps and the learning rate; NaN and infinite values are omitted."""
    return _finite({"step/loss": logged.loss, "step/lr": logged.lr})


def of_epoch(report: EpochReport) -> dict[str, float]:
    """Return the figures of an epoch: all columns of epochs.csv except `step`; NaN and infinite values are omitted."""
    return _finite({f"epoch/{key}": float(value) for key, value in report.row().items() if key != "step"})


def settings(recipe: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the recipe as one table, from "section.key" to value."""
    return {f"{section}.{key}": value for section, keys in recipe.items() for key, value in keys.items()}


def _finite(values: dict[str, float]) -> dict[str, float]:
    return {key: value for key, value in values.items() if math.isfinite(value)}
