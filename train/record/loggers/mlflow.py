"""Sends figures to MLflow, to a run on the tracking server that MLFLOW_TRACKING_URI names.

MLFLOW_EXPERIMENT_NAME names the experiment, by default "headrace". MLFLOW_HTTP_REQUEST_TIMEOUT and
MLFLOW_HTTP_REQUEST_MAX_RETRIES limit how long MLflow tries to send.
"""

import os
import time
from collections.abc import Callable
from typing import Any

from headrace.shards.errors import UsageError
from headrace.train.record.callback import Callback
from headrace.train.record.epoch import EpochReport
from headrace.train.record.loggers import identity, scalars
from headrace.train.record.moments import End, Start, StepLogged

_NAME = "mlflow"
_ENDED = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
_LONGEST = 500  # characters of a parameter's value
_SECONDS, _TRIES = "30", "2"  # of a request; MLflow itself tries for a quarter of an hour


class MlflowLogger(Callback):
    """Sends a run's figures to MLflow, each with its step; the recipe becomes the parameters of MLflow's run."""

    def __init__(self, _: Callable[[str], None]) -> None:
        self._client: Any = None
        self._run = ""

    def on_start(self, start: Start) -> None:
        """Begin a run of MLflow, or resume the MLflow run whose id this run folder holds.

        Raises UsageError if MLFLOW_TRACKING_URI names no server.
        """
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        if not uri:
            raise UsageError(
                "MLFLOW_TRACKING_URI names no server, so no figures are sent. Set the variable to the server's URL"
            )
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", _SECONDS)
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", _TRIES)
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # statistics for MLflow's authors; read at the import
        # With --json standard output holds only JSON
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        from mlflow import MlflowClient  # noqa: PLC0415  optional
        from mlflow.entities import Param  # noqa: PLC0415  as above

        self._client = MlflowClient(uri)
        before = identity.known(start.folder, _NAME)
        if before is not None:
            self._run = before
            self._client.update_run(before, status="RUNNING")
            return
        self._run = self._client.create_run(self._experiment(), run_name=start.folder.name).info.run_id
        identity.keep(start.folder, _NAME, self._run)
        given = scalars.settings(start.recipe)
        self._client.log_batch(self._run, params=[Param(key, str(value)[:_LONGEST]) for key, value in given.items()])

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "headrace")
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))

    def on_step_logged(self, logged: StepLogged) -> None:
        """Send the figures of the last steps."""
        self._send(scalars.of_steps(logged), logged.step)

    def on_epoch(self, report: EpochReport) -> None:
        """Send the figures of the epoch."""
        self._send(scalars.of_epoch(report), report.step)

    def _send(self, values: dict[str, float], step: int) -> None:
        from mlflow.entities import Metric  # noqa: PLC0415  optional

        now = int(1000 * time.time())
        self._client.log_batch(self._run, metrics=[Metric(key, value, now, step) for key, value in values.items()])

    def on_end(self, end: End) -> None:
        """Report to MLflow how the run ended."""
        self._client.set_terminated(self._run, status=_ENDED[end.reason])
