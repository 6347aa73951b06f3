"""Connects this process to Ray: to a cluster, or to Ray processes that are started on this machine.

Ray is optional (`pip install "headrace[ray]"`). If a signal ends a process that uses Ray, some of Ray's processes live
on for a minute. So this module handles SIGTERM and SIGHUP: they first shut down Ray, then end this process as usual.
"""

import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from headrace.shards.errors import UsageError

_ANSWER_WITHIN = 10.0  # seconds for the head of a cluster to take a connection


def load_ray() -> Any:
    """Import Ray and return the module.

    Ray then sends no usage statistics, unless the user has set RAY_USAGE_STATS_ENABLED.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray  # noqa: PLC0415  optional
    except ImportError as error:
        raise UsageError("--engine ray needs the package ray: pip install 'headrace[ray]'") from error
    return ray


@contextmanager
def session(ray: Any) -> Iterator[None]:
    """A context that shuts down Ray at its end, also on SIGTERM or SIGHUP; such a signal then ends the process.

    A signal that this process already ignores or handles is left as it is. The context works only in the main thread.
    """
    taken = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is signal.SIG_DFL]
    for one in taken:
        signal.signal(one, _exit)
    number = None
    try:
        yield
    except SystemExit as stop:
        number = stop.code
        raise
    finally:
        ray.shutdown()
        for one in taken:
            signal.signal(one, signal.SIG_DFL)
        if number in taken:
            signal.raise_signal(signal.Signals(number))


def _exit(number: int, _: FrameType | None) -> None:
    sys.exit(number)  # as Ray's own handler does while it connects


def connect(ray: Any, **where: object) -> None:
    """Connect this process to Ray, then restore the process's handler of SIGTERM, which Ray replaces."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **where)
    finally:
        signal.signal(signal.SIGTERM, before)


def refuse_silent(address: str) -> None:
    """Raise UsageError if the address is invalid or nothing answers there.

    Ray itself would try for minutes to connect.
    """
    wanted = "Give HOST:PORT of the cluster's head, as `ray start --head` prints it"
    try:
        found = urlsplit(f"//{address}")
        host, port = found.hostname, found.port
    except ValueError:
        host, port = None, None
    if not host or not port or found.netloc != address:
        raise UsageError(f"--ray-address {address}: not the address of a cluster. {wanted}")
    try:
        socket.create_connection((host, port), _ANSWER_WITHIN).close()
    except OSError as error:
        raise UsageError(f"--ray-address {address}: no answer ({error.strerror or error}). {wanted}") from error


def first_line(error: Exception) -> str:
    """Return the first line of an error's message; the messages of Ray have many lines."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
