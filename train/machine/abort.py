"""How the end of one rank becomes the end of all: at once, with the first error on top."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from headrace.shards.ending import REPORT, expected, lines_of
from headrace.shards.errors import error_line
from headrace.train.machine.parent import stop_with_parent
from headrace.train.machine.signals import StoppedError, StopRequest
from headrace.train.machine.world import FailedElsewhereError, World

_PATIENCE_SECONDS = 3.0  # for the launcher to see who failed first, and to end the others


@contextmanager
def ending_together(stop: StopRequest) -> Iterator[None]:
    """Around the work of a rank. An error ends the process here, without the teardown that would wait for others.

    The rank that failed prints why and goes; its connections close with it, which tells the others. Those leave the
    word, and the exit code of the run, to it: they wait for the launcher's SIGTERM, and only where none comes they
    say what they know. A process that is alone is left to its caller.
    """
    if World.from_environment().size == 1:
        yield
        return
    stop_with_parent()
    try:
        yield
    except (StoppedError, SystemExit):
        raise
    except FailedElsewhereError as error:
        told = stop.comes_within(_PATIENCE_SECONDS)
        _end("" if told else error_line(error), error.exit_code)
    except BaseException as error:  # noqa: BLE001  whatever it is, it must not hold up the others
        known = expected(error)
        if known is not None:
            _end(lines_of(known), known.exit_code)
        if isinstance(error, Exception):
            error.add_note(REPORT)
        _end("".join(traceback.format_exception(error)).rstrip(), 1)


@contextmanager
def one_of_many() -> Iterator[None]:
    """Around the work of a rank that saves nothing: an error or a signal ends all ranks. Alone, nothing changes."""
    if World.from_environment().size == 1:
        yield
        return
    with StopRequest() as stop, ending_together(stop):
        yield


def _end(text: str, code: int) -> None:
    sys.stdout.flush()
    sys.stderr.write(f"{text}\n" if text else "")
    sys.stderr.flush()
    os._exit(code)
