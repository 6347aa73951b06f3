"""Defines the versions of the checkpoint format and the fields of each version, as described in docs/formats.md.

In every version, a checkpoint is a dict with the integer field `format`, written by `torch.save`. From `format` alone,
Headrace recognises a file of a later version before it uses any other field.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from headrace.shards.errors import DataError, NewerError
from headrace.train.checkpoint.plain import plain

FORMAT = 2
"""The version of the checkpoint format that Headrace writes; Headrace reads all versions from 1 to this version."""
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
"""The required fields of each version of the format, with their types."""
OPTIONAL: dict[int, dict[str, type]] = {
    1: {},
    2: {"size": int, "crop": float, "prepared": dict, "decode": str, "best": str},
}
"""The optional fields of each version. A field that is added to version 2 also needs a line in docs/formats.md."""


def checked(path: Path, loaded: object) -> dict[str, Any]:
    """Check the object that was read from `path`; return it as a table of plain values and dense tensors.

    Raises NewerError for a later version of the format or an unknown field, DataError if `loaded` is not a checkpoint.
    """
    if not isinstance(loaded, dict):
        raise DataError(
            f"{path}: not a Headrace checkpoint: the file holds a {type(loaded).__name__}, not a dict. "
            "Give a file that `headrace train` wrote"
        )
    _refuse_newer(path, loaded)
    try:
        state: dict[str, Any] = plain(loaded)
    except ValueError as error:
        raise DataError(f"{path}: not a Headrace checkpoint: {error}. Use an earlier checkpoint") from error
    version = _version(state)
    if version is not None and version not in FIELDS:
        raise DataError(
            f"{path}: not a Headrace checkpoint: the field format is {version}, but formats begin at 1. "
            "Use an earlier checkpoint"
        )
    fields = FIELDS[version or 1]
    wrong = [key for key, kind in fields.items() if type(state.get(key)) is not kind]
    wrong += [key for key, kind in OPTIONAL[version or 1].items() if key in state and type(state[key]) is not kind]
    if wrong:
        raise DataError(
            f"{path}: not a Headrace checkpoint: fields missing or of the wrong type: {', '.join(wrong)}. "
            "Give a file that `headrace train` wrote"
        )
    for key in ("classes", "class_names"):
        if not all(isinstance(one, str) for one in state.get(key, [])):
            what = f"not all values of the field {key} are text"
            raise DataError(f"{path}: not a Headrace checkpoint: {what}. Use an earlier checkpoint")
    return state


def _refuse_newer(path: Path, loaded: dict[Any, Any]) -> None:
    """Raise NewerError for a checkpoint of a later version of the format, or with a field that is unknown here."""
    version = _version(loaded)
    if version is None or version < 1:
        return
    if version > FORMAT:
        raise NewerError.of(path, f"the file has a format above {FORMAT}, the latest format that this version reads")
    refuse_unknown(path, loaded, FIELDS[version], OPTIONAL[version])


def refuse_unknown(
    path: Path,
    found: dict[Any, Any],
    required: Collection[str],
    optional: Collection[str] = (),
    where: str = "the file",
) -> None:
    """Raise NewerError if the table `found` has all required fields and also an unknown field.

    A table that lacks a required field is damaged or from another program, and not from a newer Headrace; other checks
    refuse that table.
    """
    there = [key for key in dict.keys(found) if type(key) is str]
    unknown = [key for key in there if key not in required and key not in optional]
    if unknown and set(required) <= set(there):
        raise NewerError.of(path, f"{where} has a field that this version does not know, {unknown[0][:80]}")


def _version(loaded: dict[Any, Any]) -> int | None:
    """Return the value of the field `format`; None if this field is missing or not an integer."""
    # use the class's own method: an OrderedDict from a file may have an attribute called `get`
    found = dict.get(loaded, "format")
    return found if type(found) is int else None
