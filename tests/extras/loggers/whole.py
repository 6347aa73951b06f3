"""Whole runs with loggers, at a terminal where they could ask something."""

import os
import pty
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.commands import SMALL

NOBODY = "http://127.0.0.1:9"  # where nothing listens
KEY = "0" * 40
_LAST_EPOCH = ("[2/2] Train Loss", '"kind": "epoch", "epoch": 2,')  # as text, and as JSON
_SECONDS = 200  # after which a run counts as one that hangs


@dataclass
class Ran:
    """How a run went. Moments are of the monotonic clock."""

    lines: list[str] = field(default_factory=list)
    trained: float = 0.0
    """When the line of its last epoch came."""
    ended: float = 0.0
    code: int | None = None
    errors: str = ""

    def warnings(self, logger: str) -> list[str]:
        """Those of a logger."""
        return [line for line in self.lines if line.startswith(f"warning: {logger}: ")]


def train(shards: Path, out: Path, environment: dict[str, str], *options: str) -> Ran:
    """Train two epochs with all loggers. Of their variables there are only those in `environment`."""
    command = [sys.executable, "-m", "headrace", "train", str(shards), f"--out={out}", *SMALL, *options]
    command += ["--set=train.epochs=2", "--set=runtime.log_every=5"]
    command.append('--set=runtime.loggers=["tensorboard", "wandb", "mlflow"]')
    bare = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB_", "MLFLOW_"))}
    home = {"HOME": str(out.parent), "NETRC": str(out.parent / "netrc"), "MLFLOW_DISABLE_TELEMETRY": "true"}
    typing, terminal = pty.openpty()
    pipe, ran = subprocess.PIPE, Ran()
    process = subprocess.Popen(
        command, env={**bare, **home, **environment}, stdin=terminal, stdout=pipe, stderr=pipe, text=True
    )
    watch = threading.Timer(_SECONDS, process.kill)
    watch.start()
    try:
        for line in process.stdout or ():
            ran.lines.append(line.rstrip("\n"))
            if any(words in line for words in _LAST_EPOCH):
                ran.trained = time.monotonic()
        ran.errors = process.stderr.read() if process.stderr else ""
        ran.code, ran.ended = process.wait(), time.monotonic()
    finally:
        watch.cancel()
        process.kill()
        process.communicate()
        os.close(typing)
        os.close(terminal)
    return ran
