"""Makes and parses the names of checkpoint files: step, attempt (the number of the run's start) and hash.

The newest checkpoint has the highest attempt number and, within that attempt, the highest step.
"""

import re
from contextlib import suppress
from pathlib import Path

CHECKPOINTS = "checkpoints"
"""The name of the folder, inside a run folder, that holds the checkpoints."""
THIS = "this"
"""The value of a checkpoint's field `best` if that checkpoint is itself the best so far.

Before the end of the first epoch the value of `best` is "".
"""
_NAME = re.compile(r"step-(\d{8,})(?:-(\d{6,}))?-([0-9a-f]{16})\.pt")


def name_of(step: int, attempt: int, sha256: str) -> str:
    """Return the file name of a checkpoint with this step, attempt and hash; the name omits attempt 0."""
    return f"step-{step:08d}-{f'{attempt:06d}-' if attempt else ''}{sha256[:16]}.pt"


def is_name(text: str) -> bool:
    """Return whether `text` is the name of a checkpoint file."""
    return _NAME.fullmatch(text) is not None


def hash_in(name: str) -> str:
    """Return the 16 hex digits of the hash in a checkpoint's name; "" if `name` is not a checkpoint's name."""
    named = _NAME.fullmatch(name)
    return named[3] if named else ""


def age(name: str) -> tuple[int, int]:
    """Return a checkpoint's attempt and step, parsed from its name; (0, 0) if `name` is not a checkpoint's name."""
    named = _NAME.fullmatch(name)
    return (int(named[2] or 0), int(named[1])) if named else (0, 0)


def newest_first(run: Path) -> list[Path]:
    """Return all checkpoint files of a run folder, damaged or not, the newest first.

    Files that the run removes meanwhile are omitted.
    """
    found = []
    for path in (run / CHECKPOINTS).glob("step-*.pt"):
        if is_name(path.name):
            with suppress(FileNotFoundError):
                found.append((*age(path.name), path.stat().st_mtime_ns, path))
    return [path for *_, path in sorted(found, reverse=True)]


def exists(run: Path) -> bool:
    """Return whether the run folder holds any checkpoint, damaged or not."""
    return bool(newest_first(run))


def later(run: Path, step: int) -> list[Path]:
    """Return the run folder's checkpoints of steps after `step`, the newest first."""
    return [path for path in newest_first(run) if age(path.name)[1] > step]


def newest_attempt(run: Path) -> int:
    """Return the highest attempt number of the checkpoints in the run folder; 0 if there is no checkpoint."""
    return max((age(path.name)[0] for path in newest_first(run)), default=0)
