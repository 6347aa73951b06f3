import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.train.step.update import TrainStep
from tests.faults.runs import arguments, assert_same_run, here, one_line, running

Damage = Callable[[Path], None]


def truncate(folder: Path) -> None:
    """Cut a shard in its middle, in place."""
    path = folder / "train-000001.tar"
    os.truncate(path, path.stat().st_size // 2)


def swap(folder: Path) -> None:
    """Exchange the contents of two shards, made equally long, in place: sizes are those of the manifest."""
    one, other = folder / "train-000001.tar", folder / "train-000002.tar"
    first, second = one.read_bytes(), other.read_bytes()
    for path, own, content in ((one, first, second), (other, second, first)):
        with path.open("r+b") as stream:
            stream.write(content[: len(own)].ljust(len(own), b"\0"))


def flip(folder: Path) -> None:
    """Flip one bit of each image of a shard, in place."""
    path = folder / "train-000001.tar"
    data = bytearray(path.read_bytes())
    for place in range(700, len(data), 1024):
        data[place] ^= 4
    with path.open("r+b") as stream:
        stream.write(data)


DAMAGES = pytest.mark.parametrize("damage", [truncate, swap, flip], ids=lambda one: one.__name__)


@pytest.fixture
def shards(tiny_set: Path, tmp_path: Path) -> Path:
    """A shard set of its own, that may be damaged."""
    return Path(shutil.copytree(tiny_set, tmp_path / "set"))


@DAMAGES
def test_damaged_before_the_run(shards: Path, tmp_path: Path, damage: Damage) -> None:
    """A truncated, swapped or bit-flipped shard ends the run with 3 and a line that names the shard."""
    damage(shards)
    one_line(here(*arguments(shards, tmp_path / "run")), 3, "train-00000", ".tar", "headrace ")


@pytest.mark.faults
@DAMAGES
def test_damaged_during_the_run(
    shards: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Damage
) -> None:
    """Damage that comes while the run reads ends it in the same way; with the shard repaired it goes on exactly."""
    out, whole, update = tmp_path / "run", tmp_path / "whole", TrainStep.__call__
    shutil.copytree(shards, whole)

    def damaging(self: TrainStep, number: int, *rest: Any) -> None:
        if number == 3:
            damage(shards)
        update(self, number, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(TrainStep, "__call__", damaging)
        one_line(here(*arguments(shards, out)), 3, "train-00000", "headrace verify")
    result = here(*arguments(whole, out, "--resume"))
    assert result.exit_code == 0, result.output
    assert_same_run(undisturbed, out)


@pytest.mark.faults
def test_replaced_during_the_run(
    shards: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shard whose name is given to another file while it is read is read on from the old file: nothing changes."""
    out, update = tmp_path / "run", TrainStep.__call__

    def replacing(self: TrainStep, number: int, *rest: Any) -> None:
        if number == 3:
            (shards / "train-000002.tar").replace(shards / "train-000001.tar")
        update(self, number, *rest)

    monkeypatch.setattr(TrainStep, "__call__", replacing)
    result = here(*arguments(shards, out))
    assert result.exit_code == 0, result.output
    assert_same_run(undisturbed, out)


@pytest.mark.faults
@pytest.mark.parametrize("cache", ["none", "decoded"])
def test_damaged_header_ends_all_ranks(shards: Path, tmp_path: Path, cache: str) -> None:
    """One sample whose JPEG header is gone, which would crash the decoder, ends both ranks with its name and code 3.

    Whether its rank meets it in training, or while it decodes for both.
    """
    with (shards / "train-000001.tar").open("r+b") as tar:
        tar.seek(512)
        tar.write(bytes(16))
    given = arguments(shards, tmp_path / "run", "--nproc", "2", runtime__cache=cache)
    with running(given) as process:
        _, errors = process.communicate(timeout=250)
    assert process.returncode == 3, errors
    (line,) = errors.splitlines()
    assert "train-000001.tar, key 000000096 (source train/" in line
    assert "headrace verify" in line
    assert list(shards.parent.glob("set.decoded/*")) == []
