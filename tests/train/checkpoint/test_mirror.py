"""The thread that mirrors a run folder, with a folder in place of object storage."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from headrace.shards import store
from headrace.shards.errors import HeadraceError, UsageError
from headrace.shards.remote import AbsentError, Entry, Remote
from headrace.shards.urls import Url
from headrace.train.checkpoint import mirror
from headrace.train.checkpoint.mirror import Mirror, refuse_later
from headrace.train.checkpoint.pointer import Pointer
from headrace.train.record.moments import End, Saved, Start

FIRST, SECOND, THIRD = (f"step-0000000{step}-{'0123456789abcdef'}.pt" for step in (1, 2, 3))


class Storage:
    """Files in a folder, with the methods of Remote that a mirror uses. The first calls fail, this many of them."""

    def __init__(self, folder: Path, failures: int = 0) -> None:
        self.folder, self.failures, self.url = folder, failures, Url("s3://bucket/run")
        self.order: list[str] = []

    def put(self, name: str, content: Path | bytes) -> None:
        """Upload a file."""
        if self.failures:
            self.failures -= 1
            raise HeadraceError("HTTP 503")
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
        self.order.append(name)

    def read(self, name: str, _: int) -> bytes:
        """Download a file."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError as error:
            raise AbsentError(name) from error

    def list(self, prefix: str) -> Iterator[Entry]:
        """List all files below a path."""
        for path in sorted((self.folder / prefix).iterdir()):
            yield Entry(f"{prefix}/{path.name}", path.stat().st_size, datetime.now(UTC))

    def remove(self, *names: str) -> None:
        """Remove files."""
        for name in names:
            (self.folder / name).unlink()


def save(run: Path, name: str, *, best: bool = False) -> Saved:
    """Write a checkpoint as a run does."""
    path = run / "checkpoints" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(name.encode())
    for link in ("last.pt", "best.pt") if best else ("last.pt",):
        store.write_link(run / link, Path("checkpoints") / name)
    with (run / "metrics.jsonl").open("a") as log:
        log.write(f"{name}\n")
    return Saved(1, path, "", 1, 0.0, best)


def start(run: Path) -> Start:
    """Start a run that has made no step."""
    return Start(run, {}, None, (), 0, 1, 1, "", 1, 1, (), ())


END = End("finished", 3, 1, 1.0, 1)


def mirrored(run: Path, storage: Storage) -> tuple[Mirror, list[str], list[str]]:
    """Run a mirror of a run; yield its last line and its warnings."""
    said: list[str] = []
    warned: list[str] = []
    return Mirror(run, cast(Remote, storage), said.append, warned.append), said, warned


def wait_for(storage: Storage, name: str) -> None:
    """Wait until the pointer names this checkpoint."""
    deadline = time.monotonic() + 20
    while "last.json" not in storage.order or pointed(storage) != name:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def pointed(storage: Storage) -> str:
    """Return the checkpoint that the pointer names as the last one."""
    return str(json.loads((storage.folder / "last.json").read_bytes())["last"])


def test_files_before_the_pointer_and_old_ones_go(tmp_path: Path) -> None:
    """Only the last and the best checkpoint stay; at the end, files equal those of the run folder."""
    run, storage = tmp_path / "run", Storage(tmp_path / "there")
    one, said, warned = mirrored(run, storage)
    run.mkdir()
    (run / ".headrace.lock").touch()
    one.on_start(start(run))
    for name in (FIRST, SECOND, THIRD):
        one.on_saved(save(run, name, best=name == FIRST))
        wait_for(storage, name)
    (run / "metrics.jsonl").write_text("the end\n")
    one.on_end(END)
    assert (said, warned) == ([], [])
    assert storage.order.index(f"checkpoints/{FIRST}") < storage.order.index("last.json")
    found = {str(path.relative_to(storage.folder)) for path in storage.folder.rglob("*") if path.is_file()}
    assert found == {f"checkpoints/{FIRST}", f"checkpoints/{THIRD}", "metrics.jsonl", "last.json"}
    assert (storage.folder / "metrics.jsonl").read_text() == "the end\n"
    assert Pointer.read(cast(Remote, storage)) == Pointer(THIRD, FIRST)


def test_thread_sleeps_until_the_first_checkpoint(tmp_path: Path) -> None:
    """It would take a core from training otherwise."""
    run, storage = tmp_path / "run", Storage(tmp_path / "there")
    one, _, _ = mirrored(run, storage)
    run.mkdir()
    (run / "recipe.toml").touch()
    one.on_start(start(run))
    deadline = time.monotonic() + 20
    while not storage.order and time.monotonic() < deadline:
        time.sleep(0.01)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.25
    one.on_saved(save(run, FIRST))
    wait_for(storage, FIRST)
    one.on_end(END)


def test_failures_are_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several failures in a row give one warning."""
    monkeypatch.setattr(mirror, "_PAUSES", (0.01, 0.02))
    run, storage = tmp_path / "run", Storage(tmp_path / "there", failures=4)
    one, said, warned = mirrored(run, storage)
    save(run, FIRST)
    one.on_start(start(run))
    one.on_end(END)
    assert (said, len(warned), pointed(storage)) == ([], 1, FIRST)
    assert "HTTP 503" in warned[0]


def test_last_line_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line of a mirror that never works names the missing files."""
    monkeypatch.setattr(mirror, "_PATIENCE_SECONDS", {"finished": 0.2})
    run, storage = tmp_path / "run", Storage(tmp_path / "there", failures=10**9)
    one, said, _ = mirrored(run, storage)
    save(run, FIRST)
    one.on_start(start(run))
    one.on_end(END)
    (line,) = said
    assert all(word in line for word in (f"not uploaded: checkpoints/{FIRST}, metrics.jsonl, last.json", str(run)))


def test_later_checkpoint_there_is_left_alone(tmp_path: Path) -> None:
    """A later checkpoint at the URL is an error, and a thread that finds one stops."""
    run, storage = tmp_path / "run", Storage(tmp_path / "there")
    storage.put(f"checkpoints/{THIRD}", b"")
    storage.put("last.json", Pointer(THIRD, None).render())
    with pytest.raises(UsageError, match="is later than step"):
        refuse_later(cast(Remote, storage), 2)
    refuse_later(cast(Remote, storage), 3)
    one, said, warned = mirrored(run, storage)
    save(run, FIRST)
    one.on_start(start(run))
    one.on_end(END)
    assert (len(said), len(warned), pointed(storage)) == (1, 1, THIRD)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"last": 1, "best": null}', b'{"last": "../a", "best": null}']
)
def test_pointer_that_makes_no_sense_is_none(content: bytes, tmp_path: Path) -> None:
    """An invalid pointer counts as missing; the listing then determines the last checkpoint."""
    storage: Any = Storage(tmp_path)
    storage.put("last.json", content)
    assert Pointer.read(storage) is None
