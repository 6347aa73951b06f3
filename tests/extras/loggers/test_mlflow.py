import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.shards.errors import UsageError
from headrace.train.record.aside import Aside
from headrace.train.record.loggers.mlflow import MlflowLogger
from tests.extras.loggers.tracking import Tracking
from tests.train.record.moments import end, logged, report, start, tell_all


@pytest.fixture(params=["sqlite", "http"])
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of MLflow's SQLite store, which the environment names: as it is, or behind a server."""
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    database = tmp_path / "mlflow.db"
    store = f"sqlite:///{database}"
    if request.param == "sqlite":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
        yield MlflowClient(store)
        return
    with Tracking(database) as tracking:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.address)
        yield MlflowClient(store)


def runs(server: Any) -> list[Any]:
    """All runs of our experiment."""
    return list(server.search_runs([server.get_experiment_by_name("headrace").experiment_id]))


def test_run_is_read_back(server: Any, tmp_path: Path) -> None:
    """Recipe, curves and end of a run."""
    folder = tmp_path / "run-7"
    folder.mkdir()
    tell_all(MlflowLogger(print), folder)
    (run,) = runs(server)
    assert (run.info.run_name, run.info.status) == ("run-7", "FINISHED")
    assert run.data.params == {
        "model.name": "efficientnet-b0",
        "train.epochs": "2",
        "optim.lr": "0.25",
        "optim.name": "sgd",
    }
    history = server.get_metric_history(run.info.run_id, "epoch/validation_accuracy")
    assert [(one.step, one.value) for one in history] == [(10, 32.0), (20, 32.0)]
    assert {f"epoch/{key}" for key in report(1).row() if key != "step"} <= set(run.data.metrics)


def test_resumed_run_is_the_same(server: Any, tmp_path: Path) -> None:
    """A second part of a run goes on where the first was sent."""
    first = MlflowLogger(print)
    first.on_start(start(tmp_path))
    first.on_step_logged(logged(10))
    first.on_end(end("stopped"))
    assert [run.info.status for run in runs(server)] == ["KILLED"]
    second = MlflowLogger(print)
    second.on_start(start(tmp_path, 10))
    second.on_step_logged(logged(20))
    second.on_end(end())
    (run,) = runs(server)
    assert run.info.status == "FINISHED"
    assert [one.step for one in server.get_metric_history(run.info.run_id, "step/loss")] == [10, 20]


def test_without_a_server_nothing_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No default server and no folder of its own: the error says which variable names one."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UsageError, match="MLFLOW_TRACKING_URI"):
        MlflowLogger(print).on_start(start(tmp_path))


def test_unreachable_server_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run goes on, and its end comes soon."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    warnings: list[str] = []
    began = time.monotonic()
    tell_all(Aside(MlflowLogger(print), "mlflow", warnings.append), tmp_path)
    assert time.monotonic() - began < 60
    (warning,) = warnings
    assert warning.startswith("mlflow: ")
