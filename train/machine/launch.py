"""`--nproc N`: start N ranks of the same command on this machine, and pass on how they ended. It opens no port."""

import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, PContext, ProcessFailure, start_processes

from headrace.shards.errors import HeadraceError
from headrace.train.machine.parent import launcher_environment
from headrace.train.machine.signals import StopRequest, exit_code
from headrace.train.machine.world import World

_POLL_SECONDS = 0.1
_GRACE_SECONDS = 30  # for the ranks to save and end


def launch(processes: int, arguments: Sequence[str], told: Mapping[str, str] | None = None) -> int:
    """Run this interpreter with `arguments` in `processes` ranks; the exit code of the first that failed, or 0.

    `told` is added to their environment. They find modules where this process does, however it was started.
    A signal that asks to stop goes to the ranks, which save and end; a second one kills them. Raises HeadraceError
    if a rank was killed or cannot be started.
    """
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # the ranks' own error line says it better
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = ""  # torch's handlers would replace those of StopRequest
    with StopRequest(at_once=_kill_ranks) as stop, _meeting_file() as store:
        stop.something_to_save = True  # only the ranks know whether there is, so the signal is passed on to them
        environment = {**(told or {}), **launcher_environment(), "PYTHONPATH": os.pathsep.join(sys.path)}
        return _outcome(_start(processes, tuple(arguments), store, environment), stop)


def _start(processes: int, arguments: tuple[str, ...], store: str, environment: Mapping[str, str]) -> PContext:
    """The ranks, started with a command and not a function: nothing is pickled, no queue or log folder is made."""
    try:
        return start_processes(
            name="headrace",
            entrypoint=sys.executable,
            args=dict.fromkeys(range(processes), arguments),
            envs={rank: {**World.environment(rank, processes, store), **environment} for rank in range(processes)},
            logs_specs=DefaultLogsSpecs(log_dir=os.devnull),
        )
    except OSError as error:
        _kill_ranks()
        raise HeadraceError(f"cannot start {processes} processes ({error}); start fewer with --nproc") from error


def _outcome(ranks: PContext, stop: StopRequest) -> int:
    """The exit code, once all ranks ended: by themselves, or because one failed, or because a signal asked for it."""
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
    """Exit code of the rank that failed first. A rank that was killed leaves no message, so it is reported here."""
    rank = min(failures, key=lambda number: failures[number].timestamp)
    failure = failures[rank]
    if failure.exitcode > 0:
        return failure.exitcode
    raise HeadraceError(
        f"rank {rank} was killed by {failure.signal_name()} (the kernel does so when memory runs out, Headrace when "
        f"a rank does not end within {_GRACE_SECONDS} s). Resume from the last checkpoint with --resume"
    )


@contextmanager
def _meeting_file() -> Iterator[str]:
    """The path of a new empty file for the ranks to meet in, which only this user can open.

    It lies in this process's memory and is gone with it, also after SIGKILL. If the system has no such files, it lies
    in a new folder of mode 0700, which is removed at the end.
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
    """Descriptor of a file in memory that other processes of this user can open; None if the system has none."""
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


def _kill_ranks() -> None:
    """Kill all ranks that are left."""
    for listing in Path("/proc/self/task").glob("*/children"):
        for number in listing.read_text(encoding="ascii").split():
            with suppress(ProcessLookupError):
                os.kill(int(number), signal.SIGKILL)
