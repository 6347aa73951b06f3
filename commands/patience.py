"""What a command says while it loads its libraries: from a cold disk that takes half a minute."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from headrace.shards.streams import say

LOADS = "loading PyTorch and NVIDIA DALI, which takes longer the first time"


@contextmanager
def told_if_slow(words: str = LOADS, seconds: float = 3.0) -> Iterator[None]:
    """Print a line on standard error if the block takes more than this many seconds and a person is watching.

    Nothing is printed if standard error is no terminal: programs that read it get no line that depends on time.
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
