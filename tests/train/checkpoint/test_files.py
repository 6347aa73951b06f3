import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from headrace.shards.errors import DataError, HeadraceError, NewerError, UsageError
from headrace.train.checkpoint import files, formats, names
from tests.train.checkpoint.made_files import STATE, save


def steps(run: Path) -> list[int]:
    """Return the steps of the checkpoint files in the run."""
    return sorted(int(path.name.split("-")[1]) for path in (run / "checkpoints").iterdir())


def test_state_comes_back(tmp_path: Path) -> None:
    """A saved state is loaded with the bits of all tensors, through the file and through its link."""
    path = save(tmp_path / "run", 1)
    for loaded in (files.load(path).state, files.load(tmp_path / "run" / "last.pt").state):
        for name in ("model", "optimizer"):
            torch.testing.assert_close(loaded.pop(name), STATE[name], rtol=0, atol=0)
        assert loaded == {key: value for key, value in STATE.items() if key not in ("model", "optimizer")}


def test_run_folder_is_its_best(tmp_path: Path) -> None:
    """A run folder stands for its best.pt; if there is none, the error says what to give."""
    save(tmp_path / "run", 1)
    with pytest.raises(UsageError, match=r"run/best\.pt: no readable checkpoint .*RUN/last\.pt"):
        files.load(tmp_path / "run")
    best = save(tmp_path / "run", 2, best=True)
    save(tmp_path / "run", 3)
    found = files.load(tmp_path / "run")
    assert (found.state["progress"], found.path.resolve()) == ({"step": 2}, best)


def test_what_was_written_is_told(tmp_path: Path) -> None:
    """Saving returns the file, its hash and its size in bytes."""
    path, digest, size = files.save(tmp_path, STATE, 1, best=False, keep=1)
    assert path == (tmp_path / "last.pt").resolve()
    assert (size, digest) == (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())


def test_file_is_read_without_running_code(tmp_path: Path) -> None:
    """The safe loader of torch, which runs no code of the file, reads a checkpoint."""
    path = save(tmp_path / "run", 1)
    assert torch.load(path, weights_only=True)["classes"] == ["a", "b"]


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickled_code_is_not_run(tmp_path: Path) -> None:
    """A file that would run code when it is loaded is damaged data, and the code does not run."""
    mark, path = tmp_path / "executed", tmp_path / "given.pt"
    torch.save(STATE | {"scaler": Trap(mark)}, path)
    with pytest.raises(DataError, match=r"given\.pt: not a readable checkpoint"):
        files.load(path)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Trap(mark)))  # noqa: S301  the trap works where nobody guards
    assert mark.exists()


def test_links_lead_to_the_last_and_the_best(tmp_path: Path) -> None:
    """`last.pt` follows every save, `best.pt` the best ones; links are relative, so a run folder may be moved."""
    run = tmp_path / "run"
    first = save(run, 1, best=True)
    second = save(run, 2)
    assert (run / "last.pt").resolve() == second
    assert (run / "best.pt").resolve() == first
    moved = run.rename(tmp_path / "moved")
    assert files.load(moved / "best.pt").state["progress"]["step"] == 1
    assert files.load(moved / "last.pt").state["progress"]["step"] == 2


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_old_checkpoints_are_removed_but_not_the_best(tmp_path: Path, keep: int) -> None:
    """The newest few stay, and the best however old it is."""
    for step in range(1, 8):
        save(tmp_path, step, best=step == 2, keep=keep)
    assert steps(tmp_path) == [2, *range(8 - keep, 8)]


def test_nothing_else_is_left_or_removed(tmp_path: Path) -> None:
    """A save leaves no temporary file and touches no file with another name."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "mine.pt").write_text("kept")
    for step in range(1, 6):
        save(tmp_path, step)
    names = sorted(path.name for path in tmp_path.rglob("*") if path.name.split("-")[0] != "step")
    assert names == ["checkpoints", "last.pt", "mine.pt"]


@pytest.mark.parametrize("place", [0, 100, -1])
def test_flipped_bit_is_found(tmp_path: Path, place: int) -> None:
    """The hash in the name finds any flipped bit, and the message has both hashes."""
    path = save(tmp_path, 1)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    words = r"is damaged: its SHA-256 begins with [0-9a-f]{16}, but its name says [0-9a-f]{16}"
    with pytest.raises(DataError, match=words):
        files.load(tmp_path / "last.pt")


def test_renamed_file_is_still_checked(tmp_path: Path) -> None:
    """Under another name, the file's own checksums find changed bytes, and its format shows if it is truncated."""
    path = tmp_path / "mine.pt"
    content = save(tmp_path, 1).read_bytes()
    path.write_bytes(content)
    assert files.load(path).state["progress"] == {"step": 1}
    at = content.index(torch.arange(6.0).numpy().tobytes())
    for damaged in (content[:-100], content[:at] + b"\x01" + content[at + 1 :]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"mine\.pt: not a readable checkpoint"):
            files.load(path)


def test_newest_sound_one_is_found(tmp_path: Path) -> None:
    """A damaged newest checkpoint is skipped with a message; if all are damaged, this is an error."""
    paths = [save(tmp_path, step) for step in (1, 2, 3)]
    paths[2].write_bytes(b"")
    (state, path, _), passed_over = files.newest(tmp_path)
    assert (state["progress"], path.name) == ({"step": 2}, paths[1].name)
    assert len(passed_over) == 1
    assert paths[2].name in passed_over[0]
    for damaged in paths:
        damaged.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        files.newest(tmp_path)
    assert all(path.name in str(caught.value) for path in paths)


def test_order_is_by_number(tmp_path: Path) -> None:
    """Steps of more than eight digits are newer, although their names sort earlier."""
    save(tmp_path, 99_999_999)
    newest = save(tmp_path, 100_000_000)
    assert files.newest(tmp_path).stored.path.name == newest.name


def test_later_of_one_step_counts(tmp_path: Path) -> None:
    """Of two checkpoints of the same step, the later one counts: it also has the evaluation."""
    first = save(tmp_path, 5, precision="bf16")
    second = save(tmp_path, 5, precision="fp32")
    os.utime(first, ns=(1, 1))
    assert files.newest(tmp_path).stored.path.name == second.name
    os.utime(second, ns=(0, 0))
    assert files.newest(tmp_path).stored.path.name == first.name


def test_no_checkpoint_is_never_a_fresh_start(tmp_path: Path) -> None:
    """A folder without checkpoints and a missing file are usage errors that say what to do."""
    with pytest.raises(UsageError, match="no checkpoint to resume from"):
        files.newest(tmp_path)
    with pytest.raises(UsageError, match=r"gone\.pt"):
        files.load(tmp_path / "gone.pt")
    assert not names.exists(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], "the file holds a list"),
        ({"state_dict": {}}, "missing or of the wrong type"),
        (STATE | {"classes": "ab"}, "of the wrong type: classes"),
        (STATE | {"format": 0}, "the field format is 0, but formats begin at 1"),
        ({key: value for key, value in STATE.items() if key != "recipe"}, "of the wrong type: recipe"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, content: Any, words: str) -> None:
    """A torch file that is not a checkpoint, or has another version, is refused with the reason."""
    path = tmp_path / "given.pt"
    torch.save(content, path)
    with pytest.raises(DataError, match=words):
        files.load(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": formats.FORMAT + 1}, f"a format above {formats.FORMAT}"),
        ({"format": 99, "model": torch.ones(2).bfloat16(), "classes": {1, 2}}, f"a format above {formats.FORMAT}"),
        ({"teacher": {}}, "a field that this version does not know, teacher"),
        ({"format": 1, "teacher": torch.eye(2).to_sparse()}, "does not know, "),
    ],
)
def test_newer_checkpoint_is_not_called_damaged(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    """A later format or an unknown field gives advice to upgrade, and no earlier checkpoint is used."""
    save(tmp_path, 1)
    path = save(tmp_path, 2, **changes)
    for read in (lambda: files.load(path), lambda: files.newest(tmp_path)):
        with pytest.raises(NewerError, match=f"{path.name}: .*{words}.*: made by a newer Headrace: upgrade") as caught:
            read()
        assert "damaged" not in str(caught.value)


def test_damaged_checkpoint_is_passed_over_for_no_newer_one(tmp_path: Path) -> None:
    """A damaged file is skipped by its hash; if the one before it is newer in format, the error says so."""
    save(tmp_path, 1, more=1)
    save(tmp_path, 2, format=99).write_bytes(b"")
    with pytest.raises(NewerError, match="step-00000001"):
        files.newest(tmp_path)


@pytest.mark.parametrize("version", [1, 2])
def test_each_version_has_its_fields(tmp_path: Path, version: int) -> None:
    """A checkpoint with the fields of its version is loaded; if a field is missing, it is refused."""
    path, fields = tmp_path / "given.pt", formats.FIELDS[version]
    state = {key: STATE[key] for key in fields} | {"format": version}
    torch.save(state, path)
    assert files.load(path).state.keys() == state.keys()
    for key in fields.keys() - {"format"}:
        torch.save({name: value for name, value in state.items() if name != key}, path)
        with pytest.raises(DataError, match=f"missing or of the wrong type: {key}"):
            files.load(path)


def test_later_checkpoints_are_found(tmp_path: Path) -> None:
    """Checkpoints of later steps are listed, the newest first."""
    paths = [save(tmp_path, step, keep=9) for step in (3, 5, 9)]
    assert [path.name for path in names.later(tmp_path, 3)] == [paths[2].name, paths[1].name]
    assert names.later(tmp_path, 9) == []


def test_leftovers_of_a_killed_save_are_removed(tmp_path: Path) -> None:
    """Unfinished files of a killed process are removed; finished files stay."""
    path = save(tmp_path, 1)
    leftovers = [path.with_name("step-2.pt.77.partial"), tmp_path / "last.pt.77.partial"]
    for leftover in leftovers:
        leftover.write_text("half")
    files.remove_unfinished(tmp_path)
    assert path.exists()
    assert not any(leftover.exists() for leftover in leftovers)


def test_save_that_fails_leaves_the_last_one(tmp_path: Path) -> None:
    """If nothing can be written, the error is the program's own, and `last.pt` still leads to a sound state."""
    save(tmp_path, 1)
    blocked = tmp_path / "checkpoints"
    blocked.rename(tmp_path / "aside")
    blocked.write_text("a file where a folder should be")
    with pytest.raises(HeadraceError, match="checkpoints"):
        save(tmp_path, 2)
    blocked.unlink()
    (tmp_path / "aside").rename(blocked)
    assert files.load(tmp_path / "last.pt").state["progress"] == {"step": 1}
