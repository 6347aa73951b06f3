"""Whole runs: what servers are sent, and servers that are not there or go away. Nobody is asked, and the run ends."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.train.record.loggers.tensorboard import FOLDER
from tests.extras.loggers.leaving import Away
from tests.extras.loggers.tracking import Tracking
from tests.extras.loggers.weights import Weights
from tests.extras.loggers.whole import KEY, NOBODY, Ran, train

PATIENCE = 30  # seconds that the end of a run waits for loggers, docs/callbacks.md
LEAVING = 10  # seconds for the rest of a process's end, on a busy machine
STEPS = 40  # of two epochs of 480 samples


@pytest.fixture
def silence() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def history(database: Path) -> tuple[Any, list[int]]:
    """The run that MLflow has, and the steps at which it has a loss."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{database}")
    (run,) = client.search_runs([client.get_experiment_by_name("headrace").experiment_id])
    return run, [one.step for one in client.get_metric_history(run.info.run_id, "step/loss")]


def is_whole(ran: Ran, out: Path) -> bool:
    """Whether the run did all its work, and its end came in time."""
    assert ran.code == 0, (ran.lines, ran.errors)
    assert len((out / "epochs.csv").read_text().splitlines()) == 3
    assert list((out / FOLDER).glob("events.out.tfevents.*"))
    assert (out / "best.pt").exists()
    return ran.ended - ran.trained < PATIENCE + LEAVING


def test_servers_that_answer_have_all(tiny_set: Path, tmp_path: Path) -> None:
    """Curves on both, no warning, and with --json nothing but JSON on standard output."""
    with Tracking(tmp_path / "mlflow.db") as tracking, Weights() as weights:
        servers = {"MLFLOW_TRACKING_URI": tracking.address, "WANDB_BASE_URL": weights.address, "WANDB_API_KEY": KEY}
        ran = train(tiny_set, tmp_path / "run", servers, "--json")
        assert is_whole(ran, tmp_path / "run")
    warnings = [event["text"] for event in map(json.loads, ran.lines) if event["kind"] == "warning"]
    assert not [text for text in warnings if text.startswith(("mlflow", "wandb"))]
    run, steps = history(tmp_path / "mlflow.db")
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert steps == [row["step"] for row in weights.rows if "step/loss" in row] == list(range(5, STEPS + 1, 5))
    assert [row["step"] for row in weights.rows if "epoch/validation_accuracy" in row] == [STEPS // 2, STEPS]


@pytest.mark.parametrize("server", ["refuses", "is silent"])
def test_servers_that_are_not_there_end_no_run(tiny_set: Path, tmp_path: Path, silence: str, server: str) -> None:
    """A warning for each, and wandb's run is kept."""
    address = NOBODY if server == "refuses" else silence
    servers = {"MLFLOW_TRACKING_URI": address, "WANDB_BASE_URL": address, "WANDB_API_KEY": KEY}
    ran = train(tiny_set, tmp_path / "run", servers)
    assert is_whole(ran, tmp_path / "run")
    assert [len(ran.warnings(name)) for name in ("mlflow", "wandb")] == [1, 1]
    assert "`wandb sync` can send it later" in ran.warnings("wandb")[0]
    assert list((tmp_path / "run/wandb").glob("offline-run-*/*.wandb"))


def test_without_a_key_nobody_is_asked(tiny_set: Path, tmp_path: Path, silence: str) -> None:
    """At a terminal too: wandb's run is kept, and the user is told so once."""
    ran = train(tiny_set, tmp_path / "run", {"MLFLOW_TRACKING_URI": NOBODY, "WANDB_BASE_URL": silence})
    assert is_whole(ran, tmp_path / "run")
    (warning,) = ran.warnings("wandb")
    assert "no API key" in warning
    assert list((tmp_path / "run/wandb").glob("offline-run-*/*.wandb"))


@pytest.mark.parametrize("away", ["closed", "silent"])
def test_servers_that_go_away_hold_nothing_up(tiny_set: Path, tmp_path: Path, away: Away) -> None:
    """They have what came before, there is a warning for each, and training goes on at once."""
    with Tracking(tmp_path / "mlflow.db", away, after=2) as tracking, Weights(away) as weights:
        servers = {"MLFLOW_TRACKING_URI": tracking.address, "WANDB_BASE_URL": weights.address, "WANDB_API_KEY": KEY}
        ran = train(tiny_set, tmp_path / "run", servers)
        assert is_whole(ran, tmp_path / "run")
        assert tracking.gone_at is not None
        assert ran.trained - tracking.gone_at < PATIENCE / 2
        assert weights.gone_at is not None
    assert [len(ran.warnings(name)) for name in ("mlflow", "wandb")] == [1, 1], ran.lines
    run, steps = history(tmp_path / "mlflow.db")
    assert run.info.status == "RUNNING"
    assert 1 <= len(steps) <= 2
