"""What to do about a damaged shard set: for each kind of file, and each kind of set, a command that can be copied.

The tars of an adopted set may be the only ones that its owner has, so no command that stands here removes a tar that
prep did not make, and none gives damaged bytes a manifest that calls them sound.
"""

import json
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from headrace.shards import regular
from headrace.shards.names import MANIFEST, STAMP
from headrace.shards.store import free_name

Made = Mapping[str, object] | None  # the options that prep made the set with; None: it was adopted
_DAMAGED = "damaged"  # folders that tars are moved into; `headrace index` does not look into folders


def of_indexes(root: Path) -> str:
    """For files that are derived from the tars: .idx and Parquet."""
    return f"Make the indexes again: `headrace index {_quoted(root)}`"


def of_tars(root: Path, names: Iterable[str], made: Made) -> str:
    """For these tars, which are missing or not those of the manifest."""
    if made is not None:
        return f"Make the set again: `{_rebuild(root, made)}`"
    names = sorted(names)
    what = "this tar" if len(names) == 1 else f"these {len(names):,} tars"
    if all(path.name in names for path in root.glob("*.tar")):
        return f"Get {what} again: no other is left"
    return f"Get {what} again, or go on with those that are left: `{_without(root, names)}`"


def of_images(root: Path, made: Made) -> str:
    """For images that cannot be used, in tars that are those of the manifest."""
    if made is not None:
        return f"Make the set again: `{_rebuild(root, made)}`"
    return f"Leave them out: `headrace index {_quoted(root)}`"


def of_manifest(root: Path) -> str:
    """For a manifest that is missing, that cannot be read, or that is of another set."""
    if (root / STAMP).exists():
        return f"Make the set again: `{_rebuild(root, _stamp(root).get('options'))}`"
    return f"Make the manifest again from the tars: `{_without_manifest(root)}headrace index {_quoted(root)}`"


def _without_manifest(root: Path) -> str:
    """The start of a command that takes the manifest away; a folder in its place may hold anything, and is kept."""
    path = root / MANIFEST
    if path.is_dir():
        return f"mv {_quoted(path)} {_quoted(free_name(path))} && "
    return f"rm {_quoted(path)} && " if path.exists() else ""


def _rebuild(root: Path, made: object) -> str:
    """The command with every option that has a value: defaults may be others in another version."""
    chosen = sorted(made.items()) if isinstance(made, dict) else []
    given = [
        ("--" + name.replace("_", "-"), value) for name, value in chosen if value is not None and value is not False
    ]
    options = [_quoted(name) if value is True else f"{_quoted(name)} {_quoted(value)}" for name, value in given]
    return " ".join(["headrace prep", _source(root), _quoted(root), *options, "--if-exists rebuild"])


def _source(root: Path) -> str:
    """Where the source was at the last prep, if it is still there; else a word for the user to replace."""
    source = _stamp(root).get("source")
    try:
        there = isinstance(source, str) and Path(source).is_absolute() and Path(source).exists()
    except (OSError, ValueError):  # a path that no system has
        there = False
    return _quoted(source) if there else "SOURCE"


def _stamp(root: Path) -> dict[str, object]:
    """What prep noted of itself beside the set; nothing where that is damaged."""
    try:
        found = json.loads(regular.read(root / STAMP))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _without(root: Path, names: list[str]) -> str:
    """The commands that leave these tars out and make a set of the others."""
    there = [root / name for name in names if (root / name).exists()]
    aside = free_name(root / _DAMAGED, "")
    steps = [f"mkdir {_quoted(aside)}", f"mv {' '.join(map(_quoted, there))} {_quoted(aside)}"] if there else []
    return " && ".join([*steps, f"rm {_quoted(root / MANIFEST)}", f"headrace index {_quoted(root)}"])


def _quoted(word: object) -> str:
    return shlex.quote(str(word))
