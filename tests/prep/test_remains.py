"""Files of an interrupted prep are used if they are as they were written, and made again if not."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.prep.make.record import load_record
from headrace.shards import store
from tests.prep import damage
from tests.prep.contents import as_zip, small
from tests.prep.test_convert import Stop, contents, make, stop_after


def _turn_into_a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


ENDINGS = ("tar", "idx", "record")
SHARD = "train-000002"
DAMAGE: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "flipped": lambda path: path.write_bytes(_with_a_flipped_bit(path.read_bytes())),
    "of another shard": lambda path: shutil.copyfile(path.with_stem("train-000001"), path),
    "a FIFO": _turn_into_a_fifo,
}
ROUNDS = [100, pytest.param(1000, marks=[pytest.mark.faults])]


def place_of(room: Path, ending: str) -> Path:
    """The path of a file of the shard in the work folder of the set."""
    (found,) = room.glob(f"*/{SHARD}.{ending}")
    return found


def _with_a_flipped_bit(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a source, its set, and the files of a run that stopped after four of seven shards."""
    room = tmp_path_factory.mktemp("room")
    (room / "in").mkdir()
    source = as_zip(small(), room / "in" / "a.zip")
    make(source, room / "whole")
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 4)
        with pytest.raises(Stop):
            make(source, room / "out")
    return room


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_shard_is_made_again(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, ending: str
) -> None:
    """Only the damaged shard is made again, whichever of its files it was, and the set has equal bytes."""
    work = store.work_folder(tmp_path / "out")
    shutil.copytree(store.work_folder(begun / "out"), work)
    DAMAGE[kind](place_of(work, ending))
    made = stop_after(monkeypatch, 99)
    make(begun / "in" / "a.zip", tmp_path / "out")
    assert made == [SHARD, "train-000004", "val-000000", "val-000001"]
    assert contents(tmp_path / "out") == contents(begun / "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_no_damage_passes_for_a_finished_shard(begun: Path, tmp_path: Path, ending: str, rounds: int) -> None:
    """A shard counts as unfinished if any bits in its files are flipped, lost or doubled."""
    chance, folder = random.Random(ending), tmp_path / "copy"
    shutil.copytree(store.work_folder(begun / "out"), folder)
    path = place_of(folder, ending)
    whole = path.read_bytes()
    records, made = place_of(folder, "record").parent, place_of(folder, "tar").parent
    assert load_record(records, made, SHARD) is not None
    for number in range(rounds):
        spoil = (damage.cut, damage.flipped, damage.scrambled)[number % 3]
        spoilt = spoil(chance, whole)
        path.write_bytes(spoilt)
        assert spoilt == whole or load_record(records, made, SHARD) is None
