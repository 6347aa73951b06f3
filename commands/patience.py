"""Tells the user that a command is still loading its libraries: loading them from a cold disk takes half a minute."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from headrace.shards.streams import say

LOADS = "loading PyTorch and NVIDIA DALI, which takes longer the first time"


@contextmanager
def told_if_slow(words: str = LOADS, seconds: float = 3.0) -> Iterator[None]:
    """Print `words` on standard error if the `with` block takes longer than `seconds`.

    If standard error is not a terminal, nothing is printed: what a program reads there must not depend on the
    machine's speed.
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
