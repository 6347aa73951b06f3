"""`headrace index`: makes a manifest and indexes for existing WebDataset tars; no tar is rewritten.

Every image in the tars is decoded once. Samples that cannot be used are omitted from the indexes, and report.jsonl
lists each with the reason. If the tars are a shard set already, the indexes, the report and the manifest are written
again. In this case the old manifest says which tars and classes the set has, and whether prep made the set.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from headrace.prep.command.options import Options
from headrace.prep.command.progress import Say, progress
from headrace.prep.make.publish import report
from headrace.prep.make.record import Note
from headrace.prep.scan import Found, Scan, scan_tar
from headrace.prep.sources.source import fingerprint
from headrace.prep.sources.splits import split_of, split_word
from headrace.shards import headers, idx, index, index_writer, remedy, store
from headrace.shards.cores import usable_cores
from headrace.shards.errors import DataError, UsageError
from headrace.shards.labels import classes_of
from headrace.shards.lock import locked
from headrace.shards.manifest import (
    ADOPTED,
    NAME,
    TAR_NAME,
    ClassInfo,
    Manifest,
    ShardInfo,
    SourceInfo,
    SplitInfo,
    class_list,
    load,
)
from headrace.shards.names import REPORT, STAMP
from headrace.shards.paths import refuse_impossible
from headrace.shards.sample import Row, Rows, rows_of
from headrace.shards.tars import check_size
from headrace.shards.urls import Location


def adopt(root: Path, *, say: Say) -> Manifest:
    """Index the tars in folder `root`; return the manifest of the set."""
    refuse_impossible(root)
    old = load(root) if (root / NAME).exists() else None
    splits = _known(root, old) if old else _found(root)
    paths = [path for tars in splits.values() for path in tars]
    threads = usable_cores()
    scans: dict[Path, Scan] = {}
    with locked(root), progress(len(paths), "index", "tars") as tell, ThreadPoolExecutor(threads) as pool:
        for scan in pool.map(scan_tar, paths):
            scans[scan.path] = scan
            tell(len(scans))
        manifest = write_set(root, {name: [scans[path] for path in tars] for name, tars in splits.items()}, old, say)
    say_left_out(root, scans.values(), say)
    return manifest


def say_left_out(where: Location, scans: Iterable[Scan], say: Say) -> None:
    """Print how many samples could not be used; print nothing if all samples are usable."""
    if left_out := sum(len(scan.notes) for scan in scans):
        say(f"{where}: {left_out:,} samples could not be used; {REPORT} names each with its reason")


def _known(root: Path, manifest: Manifest) -> dict[str, list[Path]]:
    for shard in (shard for split in manifest.splits for shard in split.shards):
        check_size(root, shard, manifest)
    for split in manifest.splits:
        index.refuse_newer(root, split.index)
    return {split.name: [root / shard.name for shard in split.shards] for split in manifest.splits}


def _found(root: Path) -> dict[str, list[Path]]:
    """Return the paths of the tars in the folder `root`, grouped by split.

    A word such as `val` in the name of a tar gives the tar's split; tars without such a word are in the training split.
    """
    if not root.is_dir():
        what = "not a folder" if root.exists() else "no such folder"
        raise UsageError(f"{root}: {what}. Give a folder of WebDataset tars")
    found = by_split(root, (path.name for path in root.glob("*.tar") if path.is_file()))
    return {split: [root / name for name in names] for split, names in found.items()}


def by_split(where: Location, tars: Iterable[str]) -> dict[str, list[str]]:
    """Group the names in `tars` by split; the names of each split are sorted.

    Raises UsageError if `tars` is empty, or if a name has a character other than letters, digits, _, . and -.
    """
    splits: dict[str, list[str]] = defaultdict(list)
    for name in sorted(tars):
        if not re.match(TAR_NAME, name):
            raise UsageError(f"{where / name}: a tar's name may have only letters, digits, _, . and -. Rename the tar")
        splits[split_of(split_word(name, Options()), Options())].append(name)
    if not splits:
        raise UsageError(
            f"{where}: contains no .tar files. Give a folder or URL of WebDataset tars; unpack compressed tars first"
        )
    return {name: splits[name] for name in ("train", "val", "test") if name in splits}


def write_set(root: Path, splits: dict[str, list[Scan]], old: Manifest | None, say: Say) -> Manifest:
    """Write .idx files, Parquet indexes, report and manifest beside a set's tars, in this order; return the manifest.

    `splits` has the results of scanning the tars of each split. If the tars are a shard set already, `old` is its
    manifest.
    """
    scans = [scan for part in splits.values() for scan in part]
    if old:
        _check_same(root, old, scans)
    classes = old.classes if old else _classes(root, {one.label for scan in scans for one in scan.samples})
    ids = [one.id for one in classes] if old is None or old.made is None else map(str, range(len(classes)))
    label_of = {one: label for label, one in enumerate(ids)}
    made = tuple(_write_split(root, name, part, label_of, old, say) for name, part in splits.items())
    _write_report(root, [note for scan in scans for note in scan.notes])
    source, options = (old.source, old.options) if old and old.made is not None else (_source(scans), {})
    manifest = Manifest.make(classes, made, source, options, old.appended if old else ())
    store.write_bytes(root / NAME, manifest.render())
    headers.remember(manifest)  # because every indexed image was admitted
    return manifest


def _source(scans: list[Scan]) -> SourceInfo:
    """Return the manifest's entry about the set's source: number of samples, and hash of names, sizes and CRC-32s."""
    found = [(f"{scan.path.name}/{one.key}", one.row[8], one.row[9]) for scan in scans for one in scan.samples]
    digest, count = fingerprint([], found)
    return SourceInfo(layout=ADOPTED, files=count, fingerprint=digest)


def _write_report(root: Path, notes: list[Note]) -> None:
    """Write the report of unusable samples.

    If all samples are usable, remove an older report, unless prep wrote that report.
    """
    if notes:
        store.write_bytes(root / REPORT, report(notes))
    elif not (root / STAMP).exists():
        (root / REPORT).unlink(missing_ok=True)


def _check_same(root: Path, old: Manifest, scans: list[Scan]) -> None:
    """Raise DataError if a tar differs from the manifest `old`, or if a tar made by prep has an unusable sample."""
    expected = {shard.name: shard.sha256 for split in old.splits for shard in split.shards}
    for scan in scans:
        if scan.sha256 != expected[scan.path.name]:
            raise DataError(
                f"{scan.path}: not the tar that the manifest describes (SHA-256 {scan.sha256[:12]}..., expected "
                f"{expected[scan.path.name][:12]}...). {remedy.of_tars(root, [scan.path.name], old.made)}"
            )
        if scan.notes and old.made is not None:
            first = f"{scan.notes[0].source}: {scan.notes[0].reason}"
            raise DataError(
                f"{scan.path}: {len(scan.notes):,} samples cannot be used; the first is {first}. "
                f"{remedy.of_images(root, old.made)}"
            )


def _classes(root: Path, labels: set[str]) -> tuple[ClassInfo, ...]:
    """Make the list of classes; `labels` has the text of each label that a sample has.

    Integer labels keep their value: label 7 in the tars is class 7 of the set. Labels that are words are sorted. Raises
    DataError if there is no label, or if an integer label is far larger than the number of labels.
    """
    if not labels:
        raise DataError("no tar has a usable sample: a sample needs an image and a .cls member with its label")
    try:
        names = classes_of(labels)
    except ValueError as error:
        raise DataError(f"{root}: {error}") from error
    return class_list(((name, name) for name in names), root)


def _write_split(
    root: Path, name: str, scans: list[Scan], label_of: dict[str, int], old: Manifest | None, say: Say
) -> SplitInfo:
    rows: list[Row] = []
    shards = []
    for number, scan in enumerate(scans):
        store.write_bytes(scan.path.with_suffix(".idx"), idx.render([one.line for one in scan.samples]))
        rows += [(number, *one.row[1:3], _label(root, scan, one, label_of), *one.row[4:]) for one in scan.samples]
        shards.append(ShardInfo(name=scan.path.name, samples=len(scan.samples), bytes=scan.bytes, sha256=scan.sha256))
    keys = [one.key for scan in scans for one in scan.samples]
    table = rows_of(rows)
    sources = [f"{scan.path.name}/{one.key}" for scan in scans for one in scan.samples]
    if old is not None and old.made is not None:
        sources = _take_over(root, old, name, table, sources, say)
    with index_writer.writing(root / f"{name}.parquet", len(table)) as written:
        written.add(table, keys, sources)
    return SplitInfo(name=name, samples=len(rows), index=written.info, shards=tuple(shards))


def _label(root: Path, scan: Scan, one: Found, label_of: dict[str, int]) -> int:
    label = label_of.get(one.label)
    if label is None:
        raise DataError(
            f"{scan.path}: the label {one.label!r} of sample {one.key} is not among the manifest's {len(label_of):,} "
            f"classes. {remedy.of_manifest(root)}"
        )
    return label


def _take_over(root: Path, old: Manifest, name: str, table: Rows, sources: list[str], say: Say) -> list[str]:
    """Take facts about the source files from the old index: return their paths, and copy size and CRC-32 to `table`.

    Only the old index has these facts. If the old index is missing or damaged, print a line that says so, return
    `sources`, and leave `table` unchanged.
    """
    info = next(split.index for split in old.splits if split.name == name)
    try:
        known = index.read_texts(root, info, ("source", "source_size", "source_crc32"))
    except DataError:
        known = {"source": []}
    if len(known["source"]) != len(sources):
        say(
            f"{root}: {info.name} was missing or damaged, and only it had the paths of the samples in the source; "
            "the new one names each sample by its tar and its key"
        )
        return sources
    table["source_size"], table["source_crc32"] = known["source_size"], known["source_crc32"]
    return known["source"]
