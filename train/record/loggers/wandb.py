"""Weights & Biases: a run on its server, or one that is kept in RUN/wandb until `wandb sync` sends it.

It never asks: without a key, or if the server cannot be reached, the run is kept. WANDB_MODE and its other variables
hold as usual.
"""

import os
from collections.abc import Callable
from typing import Any

from headrace.train.record.callback import Callback
from headrace.train.record.epoch import EpochReport
from headrace.train.record.loggers import identity, scalars
from headrace.train.record.moments import End, Start, StepLogged

_NAME = "wandb"
_SECONDS = 20  # to reach the server at the start, and to send the rest at the end


class WandbLogger(Callback):
    """Sends scalars over the step, with the recipe as the run's config."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._run: Any = None

    def on_start(self, start: Start) -> None:
        """Begin a run, or resume the one that this folder has."""
        os.environ.setdefault("WANDB_SILENT", "true")  # its lines would stand between those of the run
        import wandb  # noqa: PLC0415  optional

        # Whoever chose a mode has it. Without a key it would ask for one on a terminal.
        mode = os.environ.get("WANDB_MODE") or ("online" if wandb.login(prompt=False, verify=False) else "offline")
        try:
            self._run = self._begun(wandb, start, mode)
        except wandb.Error as error:
            if mode != "online":
                raise
            self._warn(f"wandb: {' '.join(str(error).split())}. The run is kept in {start.folder}: see `wandb sync`")
            self._run = self._begun(wandb, start, "offline")
        identity.keep(start.folder, _NAME, self._run.id)
        self._run.define_metric("*", step_metric="step")  # a resumed run may have taken some steps before

    def _begun(self, wandb: Any, start: Start, mode: str) -> Any:
        quiet = wandb.Settings(
            console="off", silent=True, init_timeout=_SECONDS, finish_timeout=_SECONDS, finish_timeout_raises=False
        )
        return wandb.init(
            dir=str(start.folder),
            id=identity.known(start.folder, _NAME),
            resume="allow",
            name=start.folder.name,
            config={key: dict(values) for key, values in start.recipe.items()},
            mode=mode,
            settings=quiet,
        )

    def on_step_logged(self, logged: StepLogged) -> None:
        """Send what the last steps came to."""
        self._run.log({**scalars.of_steps(logged), "step": logged.step})

    def on_epoch(self, report: EpochReport) -> None:
        """Send what the epoch came to."""
        self._run.log({**scalars.of_epoch(report), "step": report.step})

    def on_end(self, end: End) -> None:
        """Send the rest, and say how it ended."""
        self._run.summary["best_accuracy"] = end.best_accuracy
        self._run.finish(exit_code=int(end.reason == "failed"))
