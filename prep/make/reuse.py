"""Checks whether an existing shard set is the requested one, and if not, tells the user what differs.

A set has one part for each prep that added images: part 0 is from the first prep, part 1 from the first append.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from headrace.prep.command.options import Options, decisive
from headrace.prep.command.progress import Say
from headrace.prep.make.changes import changes
from headrace.prep.sources.class_order import read_classes
from headrace.prep.sources.detect import open_source
from headrace.prep.sources.files import Files
from headrace.prep.sources.source import Source, State, fingerprint, states
from headrace.shards import regular, stamps, store
from headrace.shards.counts import counted
from headrace.shards.errors import DataError, HeadraceError, NewerError, UsageError
from headrace.shards.manifest import NAME, SUBSET, Manifest, Scalar, load
from headrace.shards.names import REPORT, STAMP
from headrace.shards.shardset import ShardSet
from headrace.shards.stamps import Stamp
from headrace.shards.urls import Location, Url, location

_REBUILD = "Give --if-exists rebuild to replace it, or another OUT"
_ELSEWHERE = "Choose another OUT: others may be reading this set"


def stamp_record(files: Files, stamp: str, options: Options) -> bytes:
    """Return the line of `source.stat` that describes one source of a set.

    The line has the location of the source, its stamp (a text that changes with its files), and the options of the
    prep.
    """
    where = files.root.absolute() if isinstance(files.root, Path) else files.root
    return stamps.stamp_of(where, stamp, options.record())


def existing(files: Files, out: Path, options: Options, *, if_exists: str, say: Say) -> Manifest | None:
    """Return the manifest of the set at `out` if the set may be reused; None if `out` may be replaced.

    Raises UsageError or DataError if `out` may be neither reused nor replaced.
    """
    if _is_empty(out):
        return None
    found = _manifest_of_prep(out)
    if if_exists == "error":
        raise UsageError(f"{out}: it exists already. {_REBUILD}")
    if if_exists == "rebuild":
        _refuse_loss(out, found)
        return None
    manifest = ShardSet.open(out).manifest
    refuse_others(out, manifest, options)
    line = stamp_record(files, files.stamp(), options)  # before contents are read
    number = part_by_stamp(files, manifest, options, stamps.read(out), line)
    if number is None:
        say(f"{files.root}: the source has moved or changed since the last prep; comparing contents")
        number = check_source(files, out, manifest, options, out)
        remember(out, number, line, say)
    return manifest


def _refuse_loss(out: Path, manifest: Manifest | None) -> None:
    """Raise UsageError if a rebuild from one source would lose samples that were appended from other sources."""
    if manifest is not None and manifest.appended:
        raise UsageError(
            f"{out}: --if-exists rebuild would lose {counted(len(manifest.appended), 'part')} appended from other "
            "sources. Move the set away first, or choose another OUT"
        )


def published(out: Path, options: Options) -> Manifest | None:
    """Return the manifest of the set at `out`; None if there is no set.

    Raises UsageError if the set was made with other options.
    """
    if not out.exists() or _is_empty(out):
        return None
    _manifest_of_prep(out)
    manifest = ShardSet.open(out).manifest
    refuse_others(out, manifest, options)
    return manifest


def refuse_others(out: Location, manifest: Manifest, options: Options) -> None:
    """Raise UsageError if the set at `out` was made with other options or classes than requested."""
    _check_options(out, manifest, options)
    _check_classes(out, manifest, options)


def parts_with(out: Location, manifest: Manifest, options: Options) -> list[int]:
    """Return the numbers of the parts of a set that were made with these options.

    Raises NewerError if a part was made with an option that this version of Headrace does not know.
    """
    return [number for number, part in enumerate(manifest.parts) if not _differences(out, part.options, options)]


def part_by_stamp(files: Files, manifest: Manifest, options: Options, known: list[Stamp], line: bytes) -> int | None:
    """Return the number of the part that was made from this source with these options; None if no stamp matches.

    `known` has the stamps of the parts. `line` is what `stamp_record` returns for the source in its present state.
    """
    (own,) = stamps.parse(line)
    numbers = parts_with(files.root, manifest, options)
    return next((one for one in numbers if one < len(known) and stamps.same_source(known[one], own)), None)


def part_by_contents(
    files: Files, source: Source, manifest: Manifest, options: Options
) -> tuple[int | None, list[State]]:
    """Return the number of the part whose source had the same contents as this source, and the states of its images.

    The number is None if there is no such part. A state is a path with size and CRC-32. The whole source is read.
    """
    seen: list[State] = []

    def images() -> Iterator[list[State]]:
        for chunk in source.chunks():
            found = states(chunk.files, source.reader)
            seen.extend(found)
            yield found

    digest, _ = fingerprint(images(), states(source.others, source.reader))
    numbers = parts_with(files.root, manifest, options)
    return next((one for one in numbers if manifest.parts[one].source.fingerprint == digest), None), seen


def remember(out: Path, number: int, line: bytes, say: Say) -> None:
    """Store the stamp of a part's source, so that later preps need not compare contents.

    If the stamp cannot be stored, print a line. `line` is what `stamp_record` returned before the contents were
    compared.
    """
    try:
        known = regular.read(out / STAMP)
    except OSError:
        known = b""
    try:
        store.write_bytes(out / STAMP, stamps.with_line(known, number, line))
    except HeadraceError as error:
        say(f"the next prep will compare contents again: {error}")


def _is_empty(out: Path) -> bool:
    return out.is_dir() and not any(out.iterdir())


def _manifest_of_prep(out: Path) -> Manifest | None:
    """Return the manifest of the set in `out`; None if the manifest is damaged.

    Raises UsageError if prep did not make the set. Raises NewerError if a newer Headrace made the set: such a set is
    not damaged, so it must not be replaced as a damaged set would be.
    """
    if not (out / NAME).exists() and not (out / STAMP).exists():
        raise UsageError(f"{out}: it exists and is not a shard set (no {NAME} in it). Choose another OUT")
    try:
        manifest = load(out)
    except NewerError:
        raise
    except (DataError, UsageError):
        return None
    if manifest.source.layout == SUBSET:
        raise UsageError(f"{out}: this set is a subset, which prep does not replace. Choose another OUT")
    if manifest.made is None:
        raise UsageError(
            f"{out}: `headrace index` made this set from existing tars, which may be the only copies of the images. "
            "Choose another OUT"
        )
    return manifest


def made_by_prep(out: Path) -> bool:
    """Return whether prep made every file in the folder `out`.

    If so, replacing the folder loses no files of other origin.
    """
    if _is_empty(out):
        return True
    manifest = _manifest_of_prep(out)
    return manifest is not None and (out / STAMP).exists() and not foreign(out, manifest)


def foreign(out: Path, manifest: Manifest) -> list[str]:
    """Return the names of the files in a set's folder that are not files of the set.

    Indexes that an append has replaced still count as files of the set.
    """
    tars = [shard.name for split in manifest.splits for shard in split.shards]
    known = {NAME, STAMP, REPORT, *tars, *(split.index.name for split in manifest.splits)}
    known |= {Path(name).with_suffix(".idx").name for name in tars}
    earlier = ["", *(f"-{number}" for number in range(2, len(manifest.parts) + 1))] if manifest.appended else []
    known |= {f"{split.name}{ending}.parquet" for split in manifest.splits for ending in earlier}
    return sorted(
        path.name for path in out.iterdir() if path.name not in known and not path.name.endswith(store.PARTIAL)
    )


def _check_options(out: Location, manifest: Manifest, options: Options) -> None:
    differences = [_differences(out, part.options, options) for part in manifest.parts]
    if all(differences):
        which = "it was made" if len(differences) == 1 else f"none of its {len(differences)} parts was made"
        words = ", ".join(differences[0]) + (" in the first part" if len(differences) > 1 else "")
        kind = "other" if len(differences) == 1 else "the given"
        raise UsageError(f"{out}: {which} with {kind} options: {words}. {_remedy(out, manifest)}")


def _differences(out: Location, part: Mapping[str, Scalar], options: Options) -> list[str]:
    """Return the options in which a part of a set differs from `options`, as phrases such as "--seed 0 (now 9)"."""
    asked = options.values()
    made = Options().values() | dict(part)  # a set from before an option existed counts as made with its default
    if unknown := [name for name, value in made.items() if name not in asked and value is not None]:
        raise NewerError.of(
            out, f"this set was made with an option that this version of Headrace does not know, {unknown[0]}"
        )
    return [
        f"--{name.replace('_', '-')} {made[name]} (now {asked[name]})"
        for name, value in sorted(options.deciding().items())
        if decisive(name, made[name]) != value
    ]


def _check_classes(out: Location, manifest: Manifest, options: Options) -> None:
    """Raise UsageError if the classes that --classes-from gives are not those of the set."""
    if options.classes_from is not None:
        asked = read_classes(location(options.classes_from))[: options.classes]
        own = manifest.classes[: len(manifest.classes) - sum(one.classes for one in manifest.appended)]
        if options.on_empty_class == "drop":
            kept = set(own)
            asked = tuple(one for one in asked if one in kept)
        if asked != own:
            raise UsageError(
                f"{out}: the classes in {options.classes_from} are not those of the set. {_remedy(out, manifest)}"
            )


def check_source(files: Files, out: Location, manifest: Manifest, options: Options, beside: Path) -> int:
    """Return the number of the part that was made from a source with the same contents.

    The folder `beside` has the set's indexes and report. If there is no such part, raises UsageError, which says what
    changed.
    """
    number, seen = part_by_contents(files, open_source(files, options), manifest, options)
    if number is None and not manifest.appended:
        raise UsageError(f"{out}: its source changed: {changes(beside, manifest, seen)}. {_remedy(out, manifest)}")
    if number is None:
        raise UsageError(
            f"{out}: neither its first prep nor an append used {files.root} as it is now. Give --append to add the "
            "images that the set does not have yet, or choose another OUT"
        )
    return number


def _remedy(out: Location, manifest: Manifest) -> str:
    if isinstance(out, Url):
        return _ELSEWHERE
    return "Choose another OUT" if manifest.appended else _REBUILD
