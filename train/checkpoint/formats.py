"""The versions of the checkpoint format, and which fields each may hold: docs/formats.md in code.

Every version from 1 on is a file of `torch.save` with a table in it that has an integer `format`. So a later version
is known for what it is before anything else in it is looked at.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from headrace.shards.errors import DataError, NewerError
from headrace.train.checkpoint.plain import plain

FORMAT = 2
"""The version that is written; all from 1 on are read."""
_FIRST = {
    "format": int,
    "headrace": str,
    "model": dict,
    "average": dict,
    "optimizer": dict,
    "scaler": dict,
    "progress": dict,
    "recipe": dict,
    "precision": str,
    "classes": list,
    "shard_set": str,
    "world": dict,
}
_SECOND = {"class_names": list, "mean": list, "std": list, "network": dict}
FIELDS: dict[int, dict[str, type]] = {1: _FIRST, 2: _FIRST | _SECOND}
"""What a checkpoint of each version has, with its type."""
OPTIONAL: dict[int, dict[str, type]] = {1: {}, 2: {"size": int, "crop": float, "prepared": dict, "decode": str}}
"""What it may have besides. A field that is added to version 2 gets its line in docs/formats.md too."""


def checked(path: Path, loaded: object) -> dict[str, Any]:
    """What was read from `path`, as plain values and dense tensors under the fields of its version.

    Raises NewerError for a later version or a field that is not known here, DataError for anything else that is not a
    checkpoint.
    """
    if not isinstance(loaded, dict):
        raise DataError(f"{path}: not a Headrace checkpoint: it holds a {type(loaded).__name__}")
    _refuse_newer(path, loaded)
    try:
        state: dict[str, Any] = plain(loaded)
    except ValueError as error:
        raise DataError(f"{path}: not a Headrace checkpoint: {error}. Use an earlier checkpoint") from error
    version = _version(state)
    if version is not None and version not in FIELDS:
        raise DataError(f"{path}: not a Headrace checkpoint: format {version}, the first is 1. Use an earlier one")
    fields = FIELDS[version or 1]
    wrong = [key for key, kind in fields.items() if type(state.get(key)) is not kind]
    wrong += [key for key, kind in OPTIONAL[version or 1].items() if key in state and type(state[key]) is not kind]
    if wrong:
        raise DataError(f"{path}: not a Headrace checkpoint: {', '.join(wrong)} missing or of the wrong kind")
    for key in ("classes", "class_names"):
        if not all(isinstance(one, str) for one in state.get(key, [])):
            what = "its classes are not all names" if key == "classes" else "its class names are not all texts"
            raise DataError(f"{path}: not a Headrace checkpoint: {what}. Use an earlier checkpoint")
    return state


def _refuse_newer(path: Path, loaded: dict[Any, Any]) -> None:
    """Raise NewerError for a later version, or a field of one."""
    version = _version(loaded)
    if version is None or version < 1:
        return
    if version > FORMAT:
        raise NewerError.of(path, f"it has a format above {FORMAT}, the last that this version reads")
    refuse_unknown(path, loaded, FIELDS[version], OPTIONAL[version])


def refuse_unknown(
    path: Path, found: dict[Any, Any], required: Collection[str], optional: Collection[str] = (), where: str = "it"
) -> None:
    """Raise NewerError for a table of the file with all the fields that are required, and one that is not known here.

    With one of those missing it is not of a later version but damaged, or foreign: others find that.
    """
    there = [key for key in dict.keys(found) if type(key) is str]
    unknown = [key for key in there if key not in required and key not in optional]
    if unknown and set(required) <= set(there):
        raise NewerError.of(path, f"{where} has a field that this version does not know, {unknown[0][:80]}")


def _version(loaded: dict[Any, Any]) -> int | None:
    """The number of the format; None where that is no integer."""
    # by the class's own method: an OrderedDict from a file may bring an attribute called `get`
    found = dict.get(loaded, "format")
    return found if type(found) is int else None
