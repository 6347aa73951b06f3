"""What the packages of others send by default is off, unless the user's environment says otherwise."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.train.model.timm_config import timm_needed
from headrace.train.record.loggers.mlflow import MlflowLogger
from headrace.train.record.loggers.wandb import WandbLogger
from tests.train.record.moments import start

OFF = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB__DISABLE_META": "true",
    "WANDB_HOST": "hidden",
}


def use_timm(_: Path) -> None:
    """As the code that imports timm."""
    with timm_needed("timm/resnet50"):
        raise ImportError(name="timm")


def use_mlflow(folder: Path) -> None:
    """Begin a run with the logger."""
    MlflowLogger(print).on_start(start(folder))


def use_wandb(folder: Path) -> None:
    """The same with this one."""
    WandbLogger(print).on_start(start(folder))


USES: dict[str, Callable[[Path], None]] = {"HF": use_timm, "MLFLOW": use_mlflow, "WANDB": use_wandb}


@pytest.mark.parametrize("variable", OFF)
@pytest.mark.parametrize("chosen", [None, "of the user"])
def test_off_unless_chosen(variable: str, chosen: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is set before the package is imported, which reads it then; a value of the user is kept."""
    for name in OFF:
        monkeypatch.setenv(name, "remembered, so that it is undone")
        monkeypatch.delenv(name)
    if chosen is not None:
        monkeypatch.setenv(variable, chosen)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    for package in ("mlflow", "wandb"):
        monkeypatch.setitem(sys.modules, package, None)  # its import fails
    with pytest.raises(Exception, match=r"import of|needs the package"):
        USES[variable.split("_", maxsplit=1)[0]](tmp_path)
    assert os.environ[variable] == (chosen or OFF[variable])
