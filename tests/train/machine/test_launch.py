import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from headrace.shards.errors import HeadraceError
from headrace.train.machine import launch as launching
from headrace.train.machine.launch import launch
from headrace.train.machine.world import World


def opened(path: str) -> bool:
    """Whether another process can open this file, write to it and read it."""
    program = "import sys; file = open(sys.argv[1], 'r+'); file.write('x'); file.flush(); file.seek(0); file.read()"
    command = [sys.executable, "-I", "-c", program, path]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def test_ranks_meet_in_memory() -> None:
    """Processes of this user open the file by its path; each start has a new, empty file, which ends with it."""
    with launching._meeting_file() as path, launching._meeting_file() as other:
        assert opened(path)
        assert (Path(path).stat().st_size, Path(other).stat().st_size) == (1, 0)
        assert Path(path).stat().st_nlink == 0  # it has no name in any folder
    assert not Path(path).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user")
def test_no_other_user_opens_the_meeting() -> None:
    """A process of another user cannot open the file."""
    assert nobody_reads(os.devnull)
    with launching._meeting_file() as path:
        assert not nobody_reads(path)


def nobody_reads(path: str) -> bool:
    """Whether a process of the user `nobody` can read this file."""
    return subprocess.run(["/bin/cat", path], user=65534, capture_output=True, check=False).returncode == 0


def refuse(_name: str) -> int:
    """Fail like a kernel that has no files in memory, or forbids them."""
    raise PermissionError


def test_without_files_in_memory_ranks_meet_in_a_private_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is new for each start, accessible only to its user, and removed at the end."""
    monkeypatch.setattr(os, "memfd_create", refuse)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen = set()
    for _ in range(2):
        with launching._meeting_file() as path:
            seen.add(path)
            assert stat.S_IMODE(Path(path).parent.stat().st_mode) == 0o700
    assert len(seen) == 2
    assert list(tmp_path.iterdir()) == []


def test_proc_of_another_namespace_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """If /proc shows another process under our number, the file in memory is not used."""
    parent = os.getppid()
    monkeypatch.setattr(os, "getpid", lambda: parent)
    assert launching._memory_file() is None


def script(folder: Path, text: str) -> str:
    """Write a script for the ranks."""
    path = folder / "rank.py"
    path.write_text(f"import os, signal, sys, time\nrank = int(os.environ['RANK'])\n{text}\n")
    return str(path)


@pytest.mark.parametrize(("codes", "code"), [(("0", "0"), 0), (("3", "0"), 3), (("0", "2"), 2), (("1", "late"), 1)])
def test_code_is_that_of_the_first_rank_that_failed(tmp_path: Path, codes: tuple[str, str], code: int) -> None:
    """The code is 0 if every rank succeeds; a rank that is stopped by SIGTERM after a failure does not count."""
    late = "if sys.argv[rank + 1] == 'late':\n    time.sleep(60)\nsys.exit(int(sys.argv[rank + 1]))"
    assert launch(2, [script(tmp_path, late), *codes]) == code


def test_ranks_find_modules_where_their_launcher_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks find a package in the launcher's current folder, although they do not search theirs."""
    (tmp_path / "nowhere_else.py").write_text("CODE = 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert launch(2, ["-P", "-c", "import sys, nowhere_else; sys.exit(nowhere_else.CODE)"]) == 7


def test_killed_rank_is_reported(tmp_path: Path) -> None:
    """A killed rank leaves no message: the launcher names it and its signal."""
    killed = script(tmp_path, "if rank == 1: os.kill(os.getpid(), signal.SIGKILL)\ntime.sleep(60)")
    with pytest.raises(HeadraceError, match="rank 1 was killed by SIGKILL"):
        launch(2, [killed])


def test_ranks_that_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system error while processes are started is one line; other children of the caller are left alone."""
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as own:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
        with pytest.raises(HeadraceError, match=r"cannot start 2 processes .*gone"):
            launch(2, [script(tmp_path, "")])
        own.communicate()  # its input ends, and so does it
    assert own.returncode == 0


@pytest.mark.parametrize(("ends", "code"), [(143, 143), (0, 0), (1, 1)])
def test_signal_reaches_every_rank_once(tmp_path: Path, ends: int, code: int) -> None:
    """A signal sent twice at once, as by `timeout`, is passed on once; a failed save is not a clean stop."""
    noting = f"""
        seen = []
        signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
        open(f"{{sys.argv[1]}}/ready-{{rank}}", "w")
        while not seen: time.sleep(0.01)
        time.sleep(0.3)
        open(f"{{sys.argv[1]}}/seen-{{rank}}-{{len(seen)}}", "w")
        sys.exit({ends} if rank == 0 else 143 if {ends} else 0)"""

    def stop_twice() -> None:
        while len(list(tmp_path.glob("ready-*"))) < 2:
            time.sleep(0.01)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)

    thread = threading.Thread(target=stop_twice)
    thread.start()
    assert launch(2, [script(tmp_path, textwrap.dedent(noting)), str(tmp_path)]) == code
    thread.join()
    assert sorted(path.name for path in tmp_path.glob("seen-*")) == ["seen-0-1", "seen-1-1"]


@pytest.mark.parametrize("way", [signal.SIG_IGN, signal.SIG_DFL], ids=["nohup", "terminal"])
def test_hangup_is_ignored_by_ranks_if_it_was(tmp_path: Path, way: signal.Handlers) -> None:
    """Ranks ignore SIGHUP only if their launcher does, as under nohup."""
    before = signal.signal(signal.SIGHUP, way)
    try:
        assert launch(2, [script(tmp_path, "sys.exit(10 + signal.getsignal(signal.SIGHUP))")]) == 10 + way
    finally:
        signal.signal(signal.SIGHUP, before)


def test_environment_says_who_a_rank_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process with this environment is that rank and listens on loopback, whatever the shell's interfaces."""
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        monkeypatch.setenv(name, "eth0")
    for name, value in World.environment(2, 3, "store").items():
        monkeypatch.setenv(name, value)
    found = World.from_environment()
    assert (found.rank, found.size, found.local_rank, found.local_size) == (2, 3, 2, 3)
    assert (os.environ["GLOO_SOCKET_IFNAME"], os.environ["NCCL_SOCKET_IFNAME"]) == ("lo", "=lo")
