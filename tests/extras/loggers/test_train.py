"""A run with all loggers, two of which find no server: it trains to its end and asks nothing."""

import os
import subprocess
import sys
from pathlib import Path

from headrace.train.record.loggers.tensorboard import FOLDER
from tests.e2e.commands import SMALL


def test_servers_that_are_not_there_end_no_run(tiny_set: Path, tmp_path: Path) -> None:
    """Exit code 0, a warning for each, and TensorBoard's files all the same."""
    out = tmp_path / "run"
    command = [sys.executable, "-m", "headrace", "train", str(tiny_set), f"--out={out}", *SMALL]
    command.append('--set=runtime.loggers=["tensorboard", "wandb", "mlflow"]')
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "WANDB_API_KEY": "0" * 40,
        "WANDB_BASE_URL": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stdout.splitlines() if line.startswith("warning: ")]
    assert len([line for line in warnings if line.startswith("warning: mlflow: ")]) == 1
    assert len([line for line in warnings if line.startswith("warning: wandb: ")]) == 1
    assert list((out / FOLDER).glob("events.out.tfevents.*"))
    assert (out / "best.pt").exists()
