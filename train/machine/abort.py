"""Ends all ranks at once when one rank fails, and prints the error of the rank that failed first."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from headrace.shards.ending import REPORT, expected, lines_of
from headrace.shards.errors import error_line
from headrace.train.machine.lost_rank import FailedElsewhereError
from headrace.train.machine.parent import stop_with_parent
from headrace.train.machine.signals import StoppedError, StopRequest
from headrace.train.machine.world import World

_PATIENCE_SECONDS = 3.0  # time for the launcher to see which rank failed first, and to end the others


@contextmanager
def ending_together(stop: StopRequest) -> Iterator[None]:
    """Within this context, an error ends this rank's process at once, without a cleanup that waits for other ranks.

    The failed rank prints its error and exits. Its network connections then close, which tells the other ranks that the
    failed rank is gone. The other ranks wait a few seconds for SIGTERM from the launcher. They print an error of their
    own only if no SIGTERM comes. The run thus ends with the message and the exit code of the failed rank. If there is
    only one process, or another framework made the process group, the context has no effect: the error is raised to the
    caller.
    """
    if World.around().size == 1 or World.is_met():
        yield
        return
    stop_with_parent()
    try:
        yield
    except (StoppedError, SystemExit):
        raise
    except FailedElsewhereError as error:
        told = stop.comes_within(_PATIENCE_SECONDS)
        end_process("" if told else error_line(error), error.exit_code)
    except BaseException as error:  # noqa: BLE001  whatever it is, it must not hold up the others
        known = expected(error)
        if known is not None:
            end_process(lines_of(known), known.exit_code)
        if isinstance(error, Exception):
            error.add_note(REPORT)
        end_process("".join(traceback.format_exception(error)).rstrip(), 1)


@contextmanager
def one_of_many() -> Iterator[None]:
    """Within this context, an error or a signal on one rank ends all ranks at once.

    This context is meant for commands that have nothing to save. The context has no effect if there is only one
    process.
    """
    if World.around().size == 1 or World.is_met():
        yield
        return
    with StopRequest() as stop, ending_together(stop):
        yield


def end_process(text: str, code: int) -> None:
    """Print `text` to standard error, then end this process at once with exit code `code`, without any cleanup."""
    sys.stdout.flush()
    sys.stderr.write(f"{text}\n" if text else "")
    sys.stderr.flush()
    os._exit(code)
