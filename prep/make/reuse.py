"""Whether a shard set that is already there is the one that was asked for, and if not, what differs."""

import json
from collections.abc import Iterator
from pathlib import Path

from headrace.prep.command.options import Options, decisive
from headrace.prep.command.progress import Say
from headrace.prep.sources.class_order import read_classes
from headrace.prep.sources.detect import open_source
from headrace.prep.sources.files import Files
from headrace.prep.sources.source import State, fingerprint, states
from headrace.shards import index, regular, store
from headrace.shards.errors import DataError, HeadraceError, NewerError, UsageError
from headrace.shards.manifest import NAME, Manifest, load
from headrace.shards.names import REPORT, STAMP
from headrace.shards.shardset import ShardSet

_REBUILD = "Give --if-exists rebuild to replace it, or another OUT"


def stamp_record(files: Files, stamp: str, options: Options) -> bytes:
    """What `source.stat` holds: where the source was on this machine, its stamp, and the options, for a rebuild.

    No digest covers it.
    """
    found = {"source": str(files.root.absolute()), "stamp": stamp, "options": options.record()}
    return (json.dumps(found) + "\n").encode()


def existing(files: Files, out: Path, options: Options, *, if_exists: str, say: Say) -> Manifest | None:
    """The manifest when `out` may be reused; None when it may be replaced; an error in all other cases."""
    if _is_empty(out):
        return None
    _manifest_of_prep(out)
    if if_exists == "error":
        raise UsageError(f"{out}: it exists already. {_REBUILD}")
    if if_exists == "rebuild":
        return None
    manifest = ShardSet.open(out).manifest
    _check_options(out, manifest, options)
    _check_classes(out, manifest, options)
    stamp = stamp_record(files, files.stamp(), options)
    try:
        known = regular.read(out / STAMP)
    except OSError:
        known = b""
    if _without_options(known) != _without_options(stamp):
        say(f"{files.root}: not the same file as at the last prep; comparing contents")
        _check_source(files, out, manifest, options)
        _remember(out, stamp, say)
    return manifest


def published(out: Path, options: Options) -> Manifest | None:
    """The manifest where a set is at `out`; None where nothing is. Raises UsageError where its options are others."""
    if not out.exists() or _is_empty(out):
        return None
    _manifest_of_prep(out)
    manifest = ShardSet.open(out).manifest
    _check_options(out, manifest, options)
    _check_classes(out, manifest, options)
    return manifest


def _without_options(stamp: bytes) -> object:
    """A stamp without the options, which are compared by the manifest: earlier versions had fewer of them, or none."""
    try:
        found = json.loads(stamp)
    except (ValueError, RecursionError):
        return None
    return (found.get("source"), found.get("stamp")) if isinstance(found, dict) else None


def _remember(out: Path, stamp: bytes, say: Say) -> None:
    """Keep the stamp, so that contents need not be compared again. A disk that cannot be written keeps none."""
    try:
        store.write_bytes(out / STAMP, stamp)
    except HeadraceError as error:
        say(f"the next prep will compare contents again: {error}")


def _is_empty(out: Path) -> bool:
    return out.is_dir() and not any(out.iterdir())


def _manifest_of_prep(out: Path) -> Manifest | None:
    """The manifest of the set in `out`; None where it cannot be read. UsageError for what prep did not make.

    NewerError for what a newer Headrace made, which is neither damaged nor to be replaced unseen.
    """
    if not (out / NAME).exists() and not (out / STAMP).exists():
        raise UsageError(f"{out}: it exists and is not a shard set (no {NAME} in it). Choose another OUT")
    try:
        manifest = load(out)
    except NewerError:
        raise
    except (DataError, UsageError):
        return None
    if manifest.made is None:
        raise UsageError(
            f"{out}: its tars were not made by prep, they were there before `headrace index` adopted them, and may be "
            "the only ones. Choose another OUT"
        )
    return manifest


def made_by_prep(out: Path) -> bool:
    """Whether all that is in the folder `out` is known to come from prep, so that nothing is lost with it."""
    if _is_empty(out):
        return True
    manifest = _manifest_of_prep(out)
    if manifest is None or not (out / STAMP).exists():
        return False
    tars = [shard.name for split in manifest.splits for shard in split.shards]
    known = {NAME, STAMP, REPORT, *tars, *(split.index.name for split in manifest.splits)}
    known |= {Path(name).with_suffix(".idx").name for name in tars}
    return all(path.name in known or path.name.endswith(store.PARTIAL) for path in out.iterdir())


def _check_options(out: Path, manifest: Manifest, options: Options) -> None:
    asked = options.record()
    made = Options().record() | manifest.options  # an option that came later has the default in earlier sets
    if unknown := [name for name, value in made.items() if name not in asked and value is not None]:
        raise NewerError.of(out, f"it was made with an option that this version does not know, {unknown[0]}")
    differences = [
        f"--{name.replace('_', '-')} {made[name]} (now {asked[name]})"
        for name, value in sorted(options.deciding().items())
        if decisive(name, made[name]) != value
    ]
    if differences:
        raise UsageError(f"{out}: it was made with other options: {', '.join(differences)}. {_REBUILD}")


def _check_classes(out: Path, manifest: Manifest, options: Options) -> None:
    """Raise where the classes that are asked for by name of a file are not those of the set any more."""
    if options.classes_from is not None:
        asked = read_classes(Path(options.classes_from))[: options.classes]
        if options.on_empty_class == "drop":
            kept = set(manifest.classes)
            asked = tuple(one for one in asked if one in kept)
        if asked != manifest.classes:
            raise UsageError(f"{out}: the classes in {options.classes_from} are not those of the set. {_REBUILD}")


def _check_source(files: Files, out: Path, manifest: Manifest, options: Options) -> None:
    """Raise, saying what changed, unless the source's contents are those that the set was made from."""
    source = open_source(files, options)
    seen: list[State] = []

    def images() -> Iterator[list[State]]:
        for chunk in source.chunks():
            found = states(chunk.files, source.reader)
            seen.extend(found)
            yield found

    digest, _ = fingerprint(images(), states(source.others, source.reader))
    if digest != manifest.source.fingerprint:
        raise UsageError(f"{out}: its source changed: {_changes(out, manifest, seen)}. {_REBUILD}")


def _changes(out: Path, manifest: Manifest, now: list[State]) -> str:
    """What differs among the images, in words."""
    before: dict[str, tuple[int, int]] = {}
    for split in manifest.splits:
        columns = index.read_texts(out, split.index, ("source", "source_size", "source_crc32"))
        before |= zip(columns["source"], zip(columns["source_size"], columns["source_crc32"], strict=True), strict=True)
    after = {path: (size, crc) for path, size, crc in now}
    parts = {
        "removed": sorted(before.keys() - after.keys()),
        "changed": sorted(path for path in before.keys() & after.keys() if before[path] != after[path]),
        "added": sorted(after.keys() - before.keys()),
    }
    said = [f"{len(paths):,} {what} (first {paths[0]})" for what, paths in parts.items() if paths]
    return ", ".join(said) or "the files that give labels and class names"
