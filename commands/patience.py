"""Tells the user that a command loads its libraries, which takes half a minute from a cold disk."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from headrace.shards.streams import say

LOADS = "loading PyTorch and NVIDIA DALI, which takes longer the first time"


@contextmanager
def told_if_slow(words: str = LOADS, seconds: float = 3.0) -> Iterator[None]:
    """Print `words` on standard error if the block takes more than this many seconds and standard error is a terminal.

    Programs that read standard error never get the line, so that their input does not depend on the machine's speed.
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
