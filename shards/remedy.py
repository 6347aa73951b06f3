"""Remedies for a damaged shard set: commands that the user can copy, for each kind of set and of damaged file.

The tars of an adopted set, which `headrace index` made from existing tars, may be the owner's only copy. So no command
here removes a tar that prep did not make. No command makes a manifest that declares damaged bytes intact.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from headrace.shards import regular, stamps
from headrace.shards.home import with_home
from headrace.shards.names import MANIFEST, SOURCE_URL, STAMP
from headrace.shards.store import free_name
from headrace.shards.urls import Location, Url

Made = Sequence[Mapping[str, object]] | None  # the options that prep made each part with; None: the set was adopted
_DAMAGED = "damaged"  # name of folders that tars are moved into; `headrace index` ignores folders


def of_indexes(root: Path) -> str:
    """The remedy for damaged files that can be derived from the tars: .idx and Parquet."""
    if fetched := _of_copy(root):
        return fetched
    return f"Make the indexes again: `headrace index {_quoted(root)}`"


def of_tars(root: Path, names: Iterable[str], made: Made) -> str:
    """The remedy for these tars, which are missing or do not match the manifest."""
    if fetched := _of_copy(root):
        return fetched
    if made is not None:
        return f"Make the set again: `{_rebuild(root, made)}`"
    names = sorted(names)
    what = "this tar" if len(names) == 1 else f"these {len(names):,} tars"
    if all(path.name in names for path in root.glob("*.tar")):
        return f"Get {what} again: the folder has no other tars"
    return f"Get {what} again, or continue with the others: `{_without(root, names)}`"


def of_images(root: Path, made: Made) -> str:
    """The remedy for unusable images in tars that match the manifest."""
    if fetched := _of_copy(root):
        return fetched
    if made is not None:
        return f"Make the set again: `{_rebuild(root, made)}`"
    return f"Omit them: `headrace index {_quoted(root)}`"


def of_manifest(root: Location) -> str:
    """The remedy for a manifest that is missing, unreadable, or of another set."""
    if isinstance(root, Url):
        return _of_url(str(root))
    if fetched := _of_copy(root):
        return fetched
    if (root / STAMP).exists():
        return f"Make the set again: `{_rebuild(root, [one.get('options') for one in stamps.read(root)])}`"
    return f"Make the manifest again from the tars: `{_without_manifest(root)}headrace index {_quoted(root)}`"


def _of_copy(root: Path) -> str:
    """The remedy for any damaged file in a fetched copy of a set at a URL; "" if `root` is not such a copy."""
    try:
        url, *again = regular.read(root / SOURCE_URL).decode("utf-8").splitlines()
    except (OSError, ValueError):
        return ""
    if again:
        return "Upload it again from an intact copy, or make the set again at another URL"
    return f"Remove damaged copies with `headrace cache verify` and start again. {_of_url(url)}"


def _of_url(url: str) -> str:
    """The remedy for files that are damaged at the set's URL. No remedy makes a set again at the same URL."""
    return (
        f"If `headrace verify {_quoted(url)}` also finds damage, upload the files it names from an intact copy, or "
        "make the set again at another URL"
    )


def _without_manifest(root: Path) -> str:
    """The start of a command that removes the manifest.

    A folder with the manifest's name is renamed, because it may contain anything.
    """
    path = root / MANIFEST
    if path.is_dir():
        return f"mv {_quoted(path)} {_quoted(free_name(path))} && "
    return f"rm {_quoted(path)} && " if path.exists() else ""


def _rebuild(root: Path, made: Sequence[object]) -> str:
    """The commands that make the set again.

    A set with appended parts is renamed first: rebuilding the first part in place would remove the appended parts.
    """
    first = made[0] if made else None
    if isinstance(first, dict) and "subset_of" in first:
        return _subset_anew(root, first)
    if len(made) < 2:
        return f"{_prep(root, 0, first)} --if-exists rebuild"
    more = [f"{_prep(root, number, one)} --append --new-classes" for number, one in enumerate(made) if number]
    return " && ".join([f"mv {_quoted(root)} {_quoted(free_name(root))}", _prep(root, 0, first), *more])


def _prep(root: Path, number: int, made: object) -> str:
    """The `headrace prep` command that makes a part again.

    The command gives every option that has a value, because other versions may have other defaults.
    """
    chosen = sorted(made.items()) if isinstance(made, dict) else []
    given = [
        (
            "--" + name.replace("_", "-"),
            with_home(value) if name == "classes_from" and isinstance(value, str) else value,
        )
        for name, value in chosen
        if value is not None and value is not False
    ]
    options = [_quoted(name) if value is True else f"{_quoted(name)} {_quoted(value)}" for name, value in given]
    return " ".join(["headrace prep", _source(root, number=number), _quoted(root), *options])


def _subset_anew(root: Path, made: dict[str, object]) -> str:
    """The commands that make a subset again.

    The old subset is renamed first, because `headrace subset` never replaces a set.
    """
    where = made.get("where")
    choice = "--ids FILE" if where is None else f"--where {_quoted(where)}"
    drop = " --drop-empty-classes" if made.get("drop_empty_classes") else ""
    aside = f"mv {_quoted(root)} {_quoted(free_name(root))}"
    return f"{aside} && headrace subset {_source(root, 'SHARDS')} {_quoted(root)} {choice}{drop}"


def _source(root: Path, word: str = "SOURCE", number: int = 0) -> str:
    """The path that a part's source had at the last prep, if the path still exists.

    Otherwise, `word` is returned: a placeholder that the user must replace.
    """
    noted = stamps.read(root)
    source = stamps.source_of(noted[number]) if number < len(noted) else None
    try:
        there = isinstance(source, str) and Path(source).is_absolute() and Path(source).exists()
    except (OSError, ValueError):  # an impossible path
        there = False
    return _quoted(source) if there else word


def _without(root: Path, names: list[str]) -> str:
    """The commands that move the tars with these names to another folder, and make a set of the remaining tars."""
    there = [root / name for name in names if (root / name).exists()]
    aside = free_name(root / _DAMAGED, "")
    steps = [f"mkdir {_quoted(aside)}", f"mv {' '.join(map(_quoted, there))} {_quoted(aside)}"] if there else []
    return " && ".join([*steps, f"rm {_quoted(root / MANIFEST)}", f"headrace index {_quoted(root)}"])


def _quoted(word: object) -> str:
    return shlex.quote(str(word))
