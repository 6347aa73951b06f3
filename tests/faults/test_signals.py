import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from headrace.train.checkpoint import files
from tests.faults.runs import STEPS, arguments, assert_same_run, here, losses, running, wait_for
from tests.faults.sockets import Listening, family, listening

SECONDS = 20  # the shortest grace periods are 30: Kubernetes, SLURM, our own launcher


@pytest.fixture(autouse=True)
def terminal() -> Iterator[None]:
    """Runs of these tests begin as from a terminal, also where nohup started the tests: SIGHUP is not ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


class Pair(NamedTuple):
    """What a run on two processes showed before a signal stopped it, and left behind."""

    out: Path
    code: int
    sockets: list[Listening]
    temporary: list[Path]


@pytest.fixture(scope="module")
def stopped_pair(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A run on two processes that got SIGTERM after its third step."""
    folder, sockets = tmp_path_factory.mktemp("pair"), list[Listening]()
    out, temporary = folder / "run", folder / "temporary"
    temporary.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
        patch.setenv("TMPDIR", str(temporary))
        code = stopped(arguments(tiny_set, out, "--nproc", "2"), out, signal.SIGTERM, sockets)
    return Pair(out, code, sockets, list(temporary.iterdir()))


def stopped(given: list[str], out: Path, number: int, sockets: list[Listening] | None = None) -> int:
    """The exit code of the command that gets a signal after its third step; it must end within SECONDS.

    The sockets on which its processes listen until then are added to `sockets`.
    """
    with running(given) as process:
        wait_for(out, 3, process)
        if sockets is not None:
            sockets.extend(listening(process.pid))
        began = time.monotonic()
        os.kill(process.pid, number)
        _, errors = process.communicate(timeout=60)
        assert time.monotonic() - began < SECONDS
        assert "Traceback" not in errors
        return process.returncode


def test_sigint_saves_and_ends_with_130(tiny_set: Path, undisturbed: Path, tmp_path: Path) -> None:
    """A run on one process finishes its step, saves, ends with 130, and resumed ends with the same bits."""
    out = tmp_path / "run"
    given = arguments(tiny_set, out)
    assert stopped(given, out, signal.SIGINT) == 130
    state = files.newest(out).stored.state
    assert state["progress"]["step"] == len(losses(out))
    assert here(*given, "--resume").exit_code == 0
    assert_same_run(undisturbed, out)


def test_sigterm_ends_all_ranks_with_143(stopped_pair: Pair) -> None:
    """Under --nproc 2 the launcher's SIGTERM reaches both ranks; they save once and the command ends with 143."""
    assert stopped_pair.code == 143
    state = files.newest(stopped_pair.out).stored.state
    assert state["progress"]["step"] == len(losses(stopped_pair.out))


def test_launcher_and_ranks_listen_on_loopback_alone(stopped_pair: Pair) -> None:
    """Under --nproc the ranks reach each other, and nobody on the network reaches them or their launcher."""
    assert len(stopped_pair.sockets) >= 2  # gloo's, of each rank
    assert [socket for socket in stopped_pair.sockets if not socket.address.is_loopback] == []


def test_nothing_is_left_in_the_temporary_folder(stopped_pair: Pair) -> None:
    """Under --nproc neither the launcher nor a rank leaves a file or folder there."""
    assert stopped_pair.temporary == []


@pytest.mark.faults
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("processes", ["1", "2"])
def test_each_signal_on_one_and_two_processes(
    tiny_set: Path, tmp_path: Path, number: int, code: int, processes: str
) -> None:
    """SIGTERM ends with 143, SIGINT with 130 and SIGHUP with 129, alone and with --nproc."""
    out = tmp_path / "run"
    assert stopped(arguments(tiny_set, out, "--nproc", processes), out, number) == code
    assert len(losses(out)) == files.newest(out).stored.state["progress"]["step"]


@pytest.mark.faults
@pytest.mark.parametrize("processes", ["1", "2"])
def test_hangup_stops_nothing_under_nohup(tiny_set: Path, tmp_path: Path, processes: str) -> None:
    """A run that began with SIGHUP ignored goes on to its end when the launcher and every rank get one."""
    out, given = tmp_path / "run", arguments(tiny_set, tmp_path / "run", "--nproc", processes)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with running(given) as process:
        wait_for(out, 3, process)
        for one in family(process.pid):
            os.kill(one, signal.SIGHUP)
        output, errors = process.communicate(timeout=250)
    assert process.returncode == 0, output + errors
    assert len(losses(out)) == STEPS


def test_signal_cuts_the_evaluation_short(
    tiny_set: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal that comes while the epoch is evaluated does not wait for its end; the resumed run evaluates anew."""
    from headrace.train.evaluate.evaluator import Evaluator

    evaluate = Evaluator.__call__

    def signalled(self: Evaluator, *given: object) -> object:
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(self, *given)  # type: ignore[arg-type]

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "__call__", signalled)
        result = here(*arguments(tiny_set, out))
    assert result.exit_code == 143, result.output
    assert "Test Acc" not in result.output
    assert here(*arguments(tiny_set, out), "--resume").exit_code == 0
    assert_same_run(undisturbed, out)


@pytest.mark.parametrize(
    "processes", ["1", pytest.param("2", marks=pytest.mark.faults)], ids=lambda number: f"{number} processes"
)
def test_second_signal_stops_at_once(tiny_set: Path, tmp_path: Path, processes: str) -> None:
    """In a step that does not end, one signal is only noted; the second ends every process within seconds."""
    out = tmp_path / "run"
    fault = {"what": "hang", "step": 4, "seconds": 3600}
    with running(arguments(tiny_set, out, "--nproc", processes), fault=fault) as process:
        wait_for(out, 4, process)
        os.kill(process.pid, signal.SIGTERM)
        time.sleep(2.5)
        assert process.poll() is None
        os.kill(process.pid, signal.SIGTERM)
        process.communicate(timeout=SECONDS)  # to the end of its output: no rank still holds it open
        assert process.returncode == 143
