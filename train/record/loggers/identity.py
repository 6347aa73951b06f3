"""Which run of a tracking server a run folder is: loggers.json, so that a resumed run goes on there."""

import json
from pathlib import Path

from headrace.shards import regular, store

NAME = "loggers.json"


def known(folder: Path, logger: str) -> str | None:
    """The id that this logger's run was given before; None if it has none, or the file cannot be read."""
    try:
        found = json.loads(regular.read(folder / NAME))[logger]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) and found else None


def keep(folder: Path, logger: str, identity: str) -> None:
    """Remember it, beside those of other loggers."""
    try:
        before = json.loads(regular.read(folder / NAME))
    except (OSError, ValueError):
        before = {}
    ids = {**(before if isinstance(before, dict) else {}), logger: identity}
    store.write_bytes(folder / NAME, (json.dumps(ids, indent=1) + "\n").encode())
