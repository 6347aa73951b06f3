import math
from pathlib import Path

import pytest

from headrace.shards.errors import UsageError
from headrace.train.record.epoch import EpochReport, Reading
from headrace.train.record.loggers import identity, scalars
from headrace.train.record.loggers.choose import loggers_of, refuse_missing
from headrace.train.record.sums import NOTHING, Sums
from tests.train.record.moments import logged, report, start


def test_missing_package_is_an_error_that_names_its_extra() -> None:
    """A missing package is reported before a run starts, with the command that installs it."""
    with pytest.raises(UsageError, match=r"runtime\.loggers: nosuch: not installed.*headrace\[nosuch\]"):
        refuse_missing(["nosuch"])
    refuse_missing([])


def test_folder_of_that_name_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that a logger left beside a script does not count as an installed package."""
    (tmp_path / "nosuch").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="nosuch: not installed"):
        refuse_missing(["nosuch"])


def test_none_is_chosen_but_those_named() -> None:
    """Installed packages are not used unless named; a name given twice is one logger."""
    assert loggers_of([], print) == []
    assert len(loggers_of(["mlflow", "wandb", "mlflow"], print)) == 2


def test_scalars_have_the_names_of_the_columns() -> None:
    """A figure has the same name everywhere; the step is the axis, not a figure."""
    assert scalars.of_steps(logged(10, 2.0)) == {"step/loss": 2.0, "step/lr": 0.25}
    epoch = scalars.of_epoch(report(1))
    assert epoch["epoch/validation_accuracy"] == 32.0
    assert set(epoch) == {f"epoch/{key}" for key in report(1).row() if key != "step"}


def test_what_is_no_number_is_not_sent() -> None:
    """An epoch without validation has no accuracy to send."""
    bare = EpochReport(1, 1, 1, Sums(1.0, 1, 1), NOTHING, 1.0, Reading(1.0, 0.0), 0.1)
    values = scalars.of_epoch(bare)
    assert "epoch/validation_loss" not in values
    assert all(map(math.isfinite, values.values()))


def test_settings_are_one_table(tmp_path: Path) -> None:
    """Trackers show a recipe as pairs of key and value."""
    assert scalars.settings(start(tmp_path).recipe) == {
        "model.name": "efficientnet-b0",
        "train.epochs": 2,
        "optim.lr": 0.25,
        "optim.name": "sgd",
    }


def test_identity_is_kept_for_each_logger(tmp_path: Path) -> None:
    """A folder stores its run on each server, and a damaged file counts as missing."""
    assert identity.known(tmp_path, "wandb") is None
    identity.keep(tmp_path, "wandb", "abc")
    identity.keep(tmp_path, "mlflow", "def")
    assert [identity.known(tmp_path, name) for name in ("wandb", "mlflow", "other")] == ["abc", "def", None]
    for damaged in ("{", "[]", '{"wandb": 5}', ""):
        (tmp_path / identity.NAME).write_text(damaged)
        assert identity.known(tmp_path, "wandb") is None
    identity.keep(tmp_path, "wandb", "abc")
    assert identity.known(tmp_path, "wandb") == "abc"
