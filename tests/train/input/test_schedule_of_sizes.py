"""The resolution schedule and `train.until`, in whole runs in this process."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.shards.shardset import ShardSet
from headrace.train.machine.signals import StopRequest
from headrace.train.run.process import entered
from headrace.train.run.request import Request
from headrace.train.run.resolve import resolve
from headrace.train.run.training import carry_out
from tests.train.networks import built_narrow
from tests.train.pictures import training

SETTINGS = (
    "train.epochs=2",
    "train.global_batch=48",
    "train.group=24",
    "runtime.device=cpu",
    "runtime.precision=fp32",
    "runtime.threads=1",
    "runtime.verdict=false",
)


def run(shards: Path, out: Path, *settings: str) -> list[dict[str, str]]:
    """Train a narrow network here and return the rows of its epochs.csv."""
    setup = resolve(Request(shards, "demo", (*SETTINGS, *settings), out=out), 1)
    built = built_narrow(len(setup.shards.class_ids))
    with StopRequest() as stop, entered(setup.recipe.runtime) as place:
        carry_out(setup, place, stop, built)
    with (out / "epochs.csv").open() as file:
        return list(csv.DictReader(file))


def test_size_changes_at_its_step_and_nothing_else_does(tiny_set: Path) -> None:
    """From the first step of a stage on, plans have its size; samples and views are the same as with a fixed size."""
    fixed = training(ShardSet.open(tiny_set).split("train"))
    staged = replace(fixed, sizes=((0, 32), (3, 64)))
    for step, size in ((0, 32), (2, 32), (3, 64), (9, 64)):
        one, other = staged.plan(step, 1), fixed.plan(step, 1)
        assert one.wanted.size == size
        assert (one.ids == other.ids).all()
        assert (one.wanted.views.start == other.wanted.views.start).all()


def test_run_trains_at_every_size_of_its_schedule(
    tiny_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run whose size changes reaches its end, and its first lines give the sizes."""
    rows = run(tiny_set, tmp_path / "run", "augment.sizes=[[0.0, 32], [0.5, 64]]")
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert "at 32 then 64 px" in capsys.readouterr().out


def test_until_ends_the_run_when_the_accuracy_is_there(
    tiny_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run stops after the first epoch that reaches the accuracy, and prints the seconds that it took."""
    rows = run(tiny_set, tmp_path / "run", "train.until=0.5")
    assert [row["epoch"] for row in rows] == ["1"]
    assert "0.5 % reached after" in capsys.readouterr().out


def test_until_says_when_it_was_not_reached(tiny_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that does not reach the accuracy trains all epochs and says so."""
    rows = run(tiny_set, tmp_path / "run", "train.until=100")
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert "100 % not reached after" in capsys.readouterr().out
