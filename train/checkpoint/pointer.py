"""Reads and renders the pointer of a mirror (a copy of a run folder at a URL).

The pointer is the file last.json, which names the last and the best checkpoint.
"""

import json
from typing import NamedTuple

from headrace.shards.remote import AbsentError, Remote
from headrace.train.checkpoint.names import age, is_name

LAST, BEST = "last.pt", "best.pt"
POINTER = "last.json"
FORMAT = 1
MOST = 1 << 16  # bytes of a pointer


class Pointer(NamedTuple):
    """The names of a mirror's last and best checkpoints; `best` is None before the first epoch has ended."""

    last: str
    best: str | None

    @classmethod
    def read(cls, remote: Remote) -> "Pointer | None":
        """Read the pointer of a mirror; return None if the pointer is missing or invalid."""
        try:
            found = json.loads(remote.read(POINTER, MOST))
            last, best = found["last"], found["best"]
        except AbsentError:
            return None
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        names = [one for one in (last, best) if one is not None]
        return cls(last, best) if all(isinstance(one, str) and is_name(one) for one in names) and last else None

    def render(self) -> bytes:
        """Return the pointer as the bytes of the file last.json."""
        return (json.dumps({"format": FORMAT, "step": age(self.last)[1], **self._asdict()}) + "\n").encode()
