"""A tracking server as MLflow's client sees one: HTTP with MLflow's own messages, and its SQLite store behind them."""

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tests.extras.loggers.leaving import Answer, Away, Leaving


class Tracking(Leaving):
    """Answers the calls that a run makes; any other is an error here."""

    def __init__(self, database: Path, away: Away | None = None, after: int = 0) -> None:
        super().__init__(away, after)
        from mlflow.protos.service_pb2 import MlflowService
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
        from mlflow.utils.rest_utils import extract_api_info_for_service

        self._store = SqlAlchemyStore(f"sqlite:///{database}", str(database.parent / "artifacts"))
        calls = extract_api_info_for_service(MlflowService, "/api/2.0")
        self._messages = {(method, path): message for message, (path, method) in calls.items()}

    def brings_figures(self, method: str, path: str, values: Any) -> bool:
        """Whether it is a batch of metrics."""
        return bool(self._message(method, path, values).metrics) if path.endswith("/log-batch") else False

    def answer(self, method: str, path: str, values: Any) -> Answer:
        """Have the store do what is asked."""
        from mlflow.utils.proto_json_utils import message_to_json

        call = self._message(method, path, values)
        done = _DONE[type(call).__name__](self._store, call)
        if done is None:
            return Answer(b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}', HTTPStatus.NOT_FOUND)
        return Answer(message_to_json(done).encode())

    def _message(self, method: str, path: str, values: Any) -> Any:
        from mlflow.utils.proto_json_utils import ParseDict

        return ParseDict(values, self._messages[method, path]())  # raises on fields that MLflow does not know


def _experiment_by_name(store: Any, call: Any) -> Any:
    experiment = store.get_experiment_by_name(call.experiment_name)
    return None if experiment is None else type(call).Response(experiment=experiment.to_proto())


def _create_experiment(store: Any, call: Any) -> Any:
    return type(call).Response(experiment_id=store.create_experiment(call.name))


def _create_run(store: Any, call: Any) -> Any:
    from mlflow.entities import RunTag

    tags = [RunTag.from_proto(tag) for tag in call.tags]
    run = store.create_run(call.experiment_id, call.user_id, call.start_time, tags, call.run_name)
    return type(call).Response(run=run.to_proto())


def _get_run(store: Any, call: Any) -> Any:
    return type(call).Response(run=store.get_run(call.run_id).to_proto())


def _update_run(store: Any, call: Any) -> Any:
    run = store.update_run_info(call.run_id, call.status, call.end_time, call.run_name or None)
    return type(call).Response(run_info=run.to_proto())


def _log_batch(store: Any, call: Any) -> Any:
    from mlflow.entities import Metric, Param, RunTag

    metrics = [Metric.from_proto(metric) for metric in call.metrics]
    params = [Param.from_proto(param) for param in call.params]
    store.log_batch(call.run_id, metrics, params, [RunTag.from_proto(tag) for tag in call.tags])
    return type(call).Response()


_DONE: dict[str, Callable[[Any, Any], Any]] = {
    "GetExperimentByName": _experiment_by_name,
    "CreateExperiment": _create_experiment,
    "CreateRun": _create_run,
    "GetRun": _get_run,
    "UpdateRun": _update_run,
    "LogBatch": _log_batch,
}
