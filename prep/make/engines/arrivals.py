"""Waits until this host can see the files that other hosts have written into a shared folder.

A network disk may show a new file to other hosts only after a minute. If a file never appears, the hosts probably have
different folders at the same path.
"""

import time
from pathlib import Path

from headrace.prep.make.record import record_path
from headrace.shards.errors import UsageError

_PATIENCE = 90.0  # seconds; network disks remember for up to 60 that a name is not there
_LOOK_EVERY = 0.2  # seconds


class Arrivals:
    """Waits until the records (result files) of shards appear in the folder `records`.

    A record may take at most `patience` seconds to appear.
    """

    def __init__(self, records: Path, patience: float = _PATIENCE) -> None:
        self._records, self._patience = records, patience
        self._due: dict[str, float] = {}  # by the name of a shard whose record is not seen yet: the latest time for it

    def add(self, name: str) -> None:
        """Expect the record of this shard too. Raises UsageError if an expected record is overdue."""
        self._due[name] = time.monotonic() + self._patience
        self._look()

    def wait(self) -> None:
        """Wait until all expected records have appeared. Raises UsageError if a record is overdue."""
        while self._look():
            time.sleep(_LOOK_EVERY)

    def _look(self) -> bool:
        """Return whether expected records are still missing. Raises UsageError if a record is overdue."""
        self._due = {name: due for name, due in self._due.items() if not record_path(self._records, name).exists()}
        name, due = min(self._due.items(), key=lambda one: one[1], default=("", 0.0))
        if name and time.monotonic() > due:
            raise UsageError(
                f"{self._records}: another host has written the record of {name}, but it does not appear here. OUT "
                "must be in one folder that all hosts share, not in a separate folder of each host at the same path"
            )
        return bool(name)
