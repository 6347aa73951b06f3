"""Stores in loggers.json the ids of the run on tracking servers, so that a resumed run continues under the same ids."""

import json
from pathlib import Path

from headrace.shards import regular, store

NAME = "loggers.json"


def known(folder: Path, logger: str) -> str | None:
    """Return the id of this logger's run on its server; None if there is no run yet or the file cannot be read."""
    try:
        found = json.loads(regular.read(folder / NAME))[logger]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) and found else None


def keep(folder: Path, logger: str, identity: str) -> None:
    """Store the id of this logger's run in loggers.json, beside the ids of other loggers."""
    try:
        before = json.loads(regular.read(folder / NAME))
    except (OSError, ValueError):
        before = {}
    ids = {**(before if isinstance(before, dict) else {}), logger: identity}
    store.write_bytes(folder / NAME, (json.dumps(ids, indent=1) + "\n").encode())
