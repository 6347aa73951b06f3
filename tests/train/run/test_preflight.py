"""Ranks rely on the launcher's checks and do not repeat them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.shards.errors import DataError
from headrace.train.checkpoint import files
from headrace.train.checkpoint.progress import Progress
from headrace.train.checkpoint.resume import Found, find
from headrace.train.machine.place import Place
from headrace.train.run.assemble import build_numerics, build_step
from headrace.train.run.preflight import handed_over, preflight
from headrace.train.run.request import Request
from headrace.train.run.resolve import resolve
from tests.train.saved_states import SETTINGS, built, save_one


@pytest.fixture(scope="module")
def state(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the state that a run has saved after three updates."""
    return files.load(save_one(tiny_set, tmp_path_factory.mktemp("saved") / "run")).state


@pytest.fixture
def request_(tiny_set: Path, tmp_path: Path, state: dict[str, Any]) -> Request:
    """Return a request that resumes from the newest checkpoint, of step 3."""
    asked = Request(tiny_set, "demo", SETTINGS, out=tmp_path / "run", resume="auto")
    save(asked, state, 3)
    return asked


def save(request: Request, state: dict[str, Any], step: int) -> Path:
    """Write one more checkpoint, and return its file."""
    assert request.out is not None
    request.out.mkdir(exist_ok=True)
    files.save(request.out, {**state, "progress": Progress(step=step).state()}, step, best=False, keep=9)
    return (request.out / "last.pt").resolve()


def rank(told: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Found | None:
    """Return the checkpoint that a rank with this environment resumes from."""
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return handed_over()


def test_ranks_take_the_one_that_was_chosen(
    request_: Request, state: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All ranks use the chosen checkpoint, even if an earlier run saves another one while it ends."""
    told = preflight(request_, 2)
    save(request_, state, 4)
    newest, chosen = find("auto", request_.out).checkpoint, rank(told, monkeypatch)
    assert newest is not None
    assert chosen is not None
    assert chosen.checkpoint is not None
    assert (newest.progress.step, chosen.checkpoint.progress.step) == (4, 3)


def test_a_new_run_stays_one(request_: Request, state: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """If the launcher found no checkpoint, no rank resumes from one."""
    assert request_.out is not None
    new = replace(request_, out=request_.out / "new")
    told = preflight(new, 2)
    save(new, state, 4)
    assert rank(told, monkeypatch) == Found(None)


def test_damaged_one_is_read_by_the_launcher_alone(
    request_: Request, state: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranks know a damaged checkpoint that the launcher skipped, without reading it."""
    damaged = save(request_, state, 4)
    damaged.write_bytes(b"")
    told = preflight(request_, 2)
    damaged.unlink()
    chosen = rank(told, monkeypatch)
    assert chosen is not None
    assert [damaged.name in line for line in chosen.warnings] == [True]
    assert resolve(request_, 2, chosen).warnings == chosen.warnings


def test_file_that_changed_is_refused(
    request_: Request, state: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that changed since the launcher read it is an error, also without a hash in its name."""
    given = tmp_path / "given.pt"
    given.write_bytes(save(request_, state, 3).read_bytes())
    told = preflight(replace(request_, resume=str(given), out=tmp_path / "other"), 2)
    given.write_bytes(save(request_, state, 4).read_bytes())
    with pytest.raises(DataError, match=r"given\.pt: the file changed while the run was starting"):
        rank(told, monkeypatch)


def test_without_launcher_a_rank_looks_itself() -> None:
    """A process that no launcher started gets no checkpoint from one."""
    assert handed_over() is None


def test_a_rank_reads_its_checkpoint_once(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rank reads its checkpoint exactly once, and no other checkpoint."""
    told, read, seen = preflight(request_, 1), Path.read_bytes, []

    def noted(path: Path) -> bytes:
        seen.extend([path] if path.suffix == ".pt" else [])
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    setup, first = resolve(request_, 1, rank(told, monkeypatch)), built()
    place = Place.find(setup.recipe.runtime)
    build_step(setup, place, build_numerics(setup, place, first), first)
    assert len(seen) == 1
