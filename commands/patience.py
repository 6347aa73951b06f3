"""Tells the user that a command is still loading its libraries, if that takes longer than usual.

Reading the libraries from a disk, rather than from memory, takes half a minute.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from headrace.shards.streams import say

LOADS = "loading PyTorch and NVIDIA DALI, which takes longer the first time"


@contextmanager
def told_if_slow(words: str = LOADS, seconds: float = 3.0) -> Iterator[None]:
    """Print `words` on standard error if the `with` block takes longer than `seconds`.

    If standard error is not a terminal, nothing is printed, because the lines that a program reads must not depend on
    the speed of the machine.
    """
    if not sys.stderr.isatty():
        yield
        return
    timer = threading.Timer(seconds, say, (words,), {"error": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
