import errno
import fcntl
import json
import multiprocessing
from pathlib import Path
from threading import Event

import pytest

from headrace.shards.lock import LockedError
from headrace.train.record import attempts
from headrace.train.record.attempts import Attempt, SupersededError, claimed
from headrace.train.record.folder import RunLog
from headrace.train.record.history import HistoryReader

BEAT, SILENCE = 0.1, 1.5


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Use a sign of life every tenth of a second, and assume death after one and a half seconds."""
    monkeypatch.setattr(attempts, "_BEAT_SECONDS", BEAT)
    monkeypatch.setattr(attempts, "_SILENT_SECONDS", SILENCE)
    monkeypatch.setattr(attempts, "_POLL_SECONDS", BEAT)
    return monkeypatch


def lockless(*_: object) -> None:
    """Fail like flock on a network disk without a lock server."""
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.fixture
def on_network(fast: pytest.MonkeyPatch) -> None:
    """Simulate a network disk, whose locks may hold only within a host."""
    fast.setattr(attempts, "is_of_one_host", lambda _: False)


@pytest.fixture
def without_locks(fast: pytest.MonkeyPatch) -> None:
    """Simulate a network disk without a lock server."""
    fast.setattr(fcntl, "flock", lockless)


def claimed_and_left(run: Path, beats: int) -> Path:
    """Write the file of an attempt whose process died after this many signs of life."""
    path = run / "attempts" / "000001"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"host": "a", "boot": "another", "process": 1, "beat": beats, "ended": False}))
    return path


def test_attempts_are_numbered(tmp_path: Path) -> None:
    """Each start has the next number, follows an ended attempt at once, and notices a later one."""
    waits: list[str] = []
    with claimed(tmp_path / "run", waits.append) as first:
        first.look()
    with claimed(tmp_path / "run", waits.append) as second:
        assert (first.number, second.number, waits) == (1, 2, [])
        second.look()
        with pytest.raises(SupersededError, match="attempt 1 of this run was taken for dead") as error:
            first.look()
    assert error.value.exit_code == 1


def test_lock_refuses_a_second_at_once(tmp_path: Path) -> None:
    """If locks work, a second command is refused without waiting, and leaves no trace."""
    with claimed(tmp_path / "run"):
        with (
            pytest.raises(LockedError, match="another headrace command is writing it now") as error,
            claimed(tmp_path / "run"),
        ):
            pass
        assert [path.name for path in (tmp_path / "run" / "attempts").iterdir()] == ["000001"]
    assert error.value.exit_code == 1


@pytest.mark.usefixtures("on_network")
def test_killed_one_of_this_host_is_followed_at_once(tmp_path: Path) -> None:
    """If the lock is free, an attempt since this host's boot is dead, and nobody waits for it."""
    waits: list[str] = []
    writer = multiprocessing.get_context("fork").Process(target=_claim_for_ever, args=(tmp_path / "run",))
    writer.start()
    path = tmp_path / "run" / "attempts" / "000001"
    while not path.exists() or not path.read_text():
        writer.join(BEAT)
    writer.kill()
    writer.join()
    with claimed(tmp_path / "run", waits.append) as attempt:
        assert (attempt.number, waits) == (2, [])


def _claim_for_ever(run: Path) -> None:
    with claimed(run):
        Event().wait()


@pytest.mark.usefixtures("without_locks")
def test_without_locks_a_living_writer_is_seen(tmp_path: Path) -> None:
    """If no lock works, a second command ends as soon as the first one's file changes."""
    with claimed(tmp_path / "run"), pytest.raises(LockedError), claimed(tmp_path / "run"):
        pass
    assert [path.name for path in (tmp_path / "run" / "attempts").iterdir()] == ["000001"]


@pytest.mark.usefixtures("without_locks")
def test_without_locks_a_silent_one_is_followed(tmp_path: Path) -> None:
    """If the file does not change for a minute, by the second command's clock, that command takes over."""
    waits: list[str] = []
    path = claimed_and_left(tmp_path / "run", 7)
    with claimed(tmp_path / "run", waits.append) as attempt:
        assert attempt.number == 2
    assert len(waits) == 1
    assert str(path) in waits[0]


def test_lock_decides_on_a_disk_of_one_host(tmp_path: Path) -> None:
    """On a local disk, an attempt from before a crash of the host is dead, and nobody waits for it."""
    waits: list[str] = []
    claimed_and_left(tmp_path / "run", 7)
    with claimed(tmp_path / "run", waits.append) as attempt:
        assert (attempt.number, waits) == (2, [])


@pytest.mark.usefixtures("on_network")
def test_lock_of_another_host_proves_nothing(tmp_path: Path) -> None:
    """On a network disk, another host's attempt is waited for, because its lock may be unknown here."""
    waits: list[str] = []
    claimed_and_left(tmp_path / "run", 7)
    with claimed(tmp_path / "run", waits.append) as attempt:
        assert (attempt.number, len(waits)) == (2, 1)


@pytest.mark.parametrize("damage", [b"", b"no JSON", b"[]", b"{}", b"\xff"])
@pytest.mark.usefixtures("on_network")
def test_damaged_file_of_an_attempt_is_waited_for(tmp_path: Path, damage: bytes) -> None:
    """A damaged file may belong to a living process."""
    claimed_and_left(tmp_path / "run", 7).write_bytes(damage)
    waits: list[str] = []
    with claimed(tmp_path / "run", waits.append) as attempt:
        assert (attempt.number, len(waits)) == (2, 1)


def test_late_rows_of_a_stale_writer_are_nobodys(tmp_path: Path) -> None:
    """All readers ignore rows that an earlier attempt adds after a later one began."""
    first = RunLog(tmp_path, attempt=Attempt(1))
    first.began(1, 0.1, 0.1)
    second = RunLog(tmp_path, attempt=Attempt(2))
    second.keep_until(1, 0)
    first.began(9, 0.1, 0.1)
    second.began(2, 0.1, 0.1)
    assert [row["step"] for row in second.rows() if row["kind"] == "start"] == [1, 2]
    assert [row["step"] for row in HistoryReader(tmp_path).read().starts] == [1, 2]
    second.keep_until(9, 0)
    assert '"start", "step": 9' not in (tmp_path / "metrics.jsonl").read_text()
