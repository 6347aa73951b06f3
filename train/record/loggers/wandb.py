"""Sends figures to Weights & Biases: to a run on its server, or to a local run in RUN/wandb for `wandb sync`.

The logger never prompts: without an API key, or if the server cannot be reached, the run stays local. WANDB_MODE and
the other environment variables of wandb work as usual.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace.train.record.callback import Callback
from headrace.train.record.epoch import EpochReport
from headrace.train.record.loggers import identity, scalars
from headrace.train.record.moments import End, Start, StepLogged

_NAME = "wandb"
_START_SECONDS = 20  # to reach the server
_END_SECONDS = 10  # to send the rest; also after a signal, when this process ends


class WandbLogger(Callback):
    """Sends a run's figures to Weights & Biases, each with its step; the recipe becomes the config of the run there."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._folder = Path()
        self._run: Any = None

    def on_start(self, start: Start) -> None:
        """Begin a run of Weights & Biases, or resume the run there whose id this run folder holds."""
        os.environ.setdefault("WANDB_SILENT", "true")  # its lines would mix with those of the run
        # If the server does not answer, reports of wandb's own errors delay the exit of the process by 12 to 22 s.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        # The host's name, paths, the command and the state of git are not figures of the run.
        os.environ.setdefault("WANDB__DISABLE_META", "true")
        os.environ.setdefault("WANDB_HOST", "hidden")  # wandb would look the name up
        import wandb  # noqa: PLC0415  optional

        self._folder = start.folder
        mode = os.environ.get("WANDB_MODE") or self._mode(wandb)  # the user's choice wins
        try:
            self._run = self._begun(wandb, start, mode)
        except wandb.Error as error:
            if mode != "online":
                raise
            self._complain(" ".join(str(error).split()))
            self._run = self._begun(wandb, start, "offline")
        identity.keep(start.folder, _NAME, self._run.id)
        self._run.define_metric("*", step_metric="step")  # a resumed run may have taken some steps before

    def _mode(self, wandb: Any) -> str:
        """Return wandb's mode: "online", or "offline" if there is no API key, for which wandb would prompt."""
        if wandb.login(prompt=False, verify=False):
            return "online"
        self._complain("there is no API key, so no figures are sent (set WANDB_MODE=offline if this is intended)")
        return "offline"

    def _complain(self, what: str) -> None:
        self._warn(f"wandb: {what}. The run is kept in {self._folder}; `wandb sync` can send it later")

    def _begun(self, wandb: Any, start: Start, mode: str) -> Any:
        quiet = wandb.Settings(
            console="off",
            silent=True,
            init_timeout=_START_SECONDS,
            finish_timeout=_END_SECONDS,
            finish_timeout_raises=True,
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
        """Send the figures of the last steps."""
        self._run.log({**scalars.of_steps(logged), "step": logged.step})

    def on_epoch(self, report: EpochReport) -> None:
        """Send the figures of the epoch."""
        self._run.log({**scalars.of_epoch(report), "step": report.step})

    def on_end(self, end: End) -> None:
        """Send the remaining figures, and report how the run ended."""
        self._run.summary["best_accuracy"] = end.best_accuracy
        try:
            self._run.finish(exit_code=int(end.reason == "failed"))
        except TimeoutError:
            self._complain(f"the server did not accept all figures within {_END_SECONDS} s")
