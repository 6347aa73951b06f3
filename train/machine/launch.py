"""Starts N ranks of the same command on this machine, for `--nproc N`, and returns their exit code. Opens no port."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, PContext, ProcessFailure, start_processes

from headrace.shards.errors import HeadraceError
from headrace.train.machine.parent import launcher_environment
from headrace.train.machine.signals import StopRequest, exit_code
from headrace.train.machine.world import World

_POLL_SECONDS = 0.1
_GRACE_SECONDS = 30  # time for the ranks to save and exit


def launch(processes: int, arguments: Sequence[str], told: Mapping[str, str] | None = None) -> int:
    """Run this interpreter with `arguments` in `processes` ranks; return 0, or the exit code of the first failed rank.

    The variables `told` are added to the environment of the ranks. The ranks import modules from the same folders as
    this process. A signal to stop is passed on to the ranks, which save and exit; a second signal kills them. Raises
    HeadraceError if a rank was killed or cannot be started.
    """
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # the error line of the rank itself is clearer
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = ""  # torch's handlers would replace those of StopRequest
    kill = partial(_kill_children_but, _children())
    with StopRequest(at_once=kill) as stop, _meeting_file() as store:
        stop.something_to_save = True  # only the ranks know, so the signal is passed on to them
        environment = {**(told or {}), **launcher_environment(), "PYTHONPATH": os.pathsep.join(sys.path)}
        return _outcome(_start(processes, tuple(arguments), store, environment, kill), stop)


def _start(
    processes: int, arguments: tuple[str, ...], store: str, environment: Mapping[str, str], kill: Callable[[], None]
) -> PContext:
    """Start the ranks as commands rather than as functions: nothing is pickled, and no queue or log folder is made."""
    try:
        return start_processes(
            name="headrace",
            entrypoint=sys.executable,
            args=dict.fromkeys(range(processes), arguments),
            envs={rank: {**World.environment(rank, processes, store), **environment} for rank in range(processes)},
            logs_specs=DefaultLogsSpecs(log_dir=os.devnull),
        )
    except OSError as error:
        kill()
        raise HeadraceError(f"cannot start {processes} processes ({error}); start fewer with --nproc") from error


def _outcome(ranks: PContext, stop: StopRequest) -> int:
    """Wait until all ranks have ended, and return the exit code; stop all ranks if one rank fails or a signal comes."""
    while (result := ranks.wait(timeout=0)) is None and not stop.comes_within(_POLL_SECONDS):
        pass
    if result is None:
        ranks.close(signal.Signals(stop.number), _GRACE_SECONDS)
        result = ranks.wait(timeout=0)
    failures = {} if result is None else result.failures
    stopped = (exit_code(stop.number), -stop.number) if stop.number else ()
    if failed := {rank: failure for rank, failure in failures.items() if failure.exitcode not in stopped}:
        return _of_first_failure(failed)
    return exit_code(stop.number) if failures or result is None else 0


def _of_first_failure(failures: Mapping[int, ProcessFailure]) -> int:
    """Return the exit code of the first failed rank. Raises HeadraceError if a signal killed that rank.

    A killed rank leaves no message, so the error reports the signal.
    """
    rank = min(failures, key=lambda number: failures[number].timestamp)
    failure = failures[rank]
    if failure.exitcode > 0:
        return failure.exitcode
    raise HeadraceError(
        f"rank {rank} was killed by {failure.signal_name()} (the kernel kills processes when memory runs out; "
        f"Headrace kills a rank that does not end within {_GRACE_SECONDS} s). "
        "Resume from the last checkpoint with --resume"
    )


@contextmanager
def _meeting_file() -> Iterator[str]:
    """Within this context, a new empty file exists, through which the ranks connect; yields the path of the file.

    Only this user can open the file. The file is in this process's memory and disappears with the process, even after
    SIGKILL. On a system without files in memory, the file is in a new folder of mode 0700, which is removed at the end.
    """
    number = _memory_file()
    if number is None:
        with TemporaryDirectory(prefix="headrace-") as folder:
            yield f"{folder}/store"
        return
    try:
        yield _path_of(number)
    finally:
        os.close(number)


def _memory_file() -> int | None:
    """Return the descriptor of a new file in memory that this user's processes can open; None if unsupported."""
    try:
        number = os.memfd_create("headrace")
    except (AttributeError, OSError):
        return None
    with suppress(OSError):  # /proc may be absent, or show another process namespace
        if os.path.samestat(Path(_path_of(number)).stat(), os.fstat(number)):
            return number
    os.close(number)
    return None


def _path_of(descriptor: int) -> str:
    return f"/proc/{os.getpid()}/fd/{descriptor}"


def _children() -> set[int]:
    """Return the process ids of this process's children, including children that it started before it called exec."""
    found = set()
    for listing in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # its thread has ended since
            found |= {int(number) for number in listing.read_text(encoding="ascii").split()}
    return found


def _kill_children_but(others: set[int]) -> None:
    """Kill the remaining ranks: all children of this process except `others`, which existed before the launch."""
    for number in _children() - others:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
