"""Records of other hosts that this host does not see at once, or never."""

import threading
from collections import deque
from itertools import repeat
from pathlib import Path

import pytest

from headrace.prep.make.engines.arrivals import Arrivals
from headrace.prep.make.record import record_path
from headrace.shards.errors import UsageError

_NEVER = r"another host has written the record of train-000007.* one folder that all hosts"


def test_late_ones_are_waited_for(tmp_path: Path) -> None:
    """As on a network disk, where a name may appear some time after the other host has written it."""
    arrivals = Arrivals(tmp_path, patience=60)
    record_path(tmp_path, "train-000000").touch()
    arrivals.add("train-000000")
    arrivals.add("train-000001")
    late = threading.Timer(0.3, record_path(tmp_path, "train-000001").touch)
    late.start()
    arrivals.wait()
    assert record_path(tmp_path, "train-000001").exists()
    late.join()


def test_one_that_never_appears_ends_the_run(tmp_path: Path) -> None:
    """It was written into another folder at the same path."""
    arrivals = Arrivals(tmp_path, patience=0.1)
    arrivals.add("train-000007")
    with pytest.raises(UsageError, match=_NEVER):
        arrivals.wait()


def test_no_further_shards_are_made_in_vain(tmp_path: Path) -> None:
    """The error comes while others are still being made."""
    arrivals = Arrivals(tmp_path, patience=0.1)
    arrivals.add("train-000007")
    record_path(tmp_path, "val-000000").touch()
    with pytest.raises(UsageError, match=_NEVER):
        deque(map(arrivals.add, repeat("val-000000")), maxlen=0)
