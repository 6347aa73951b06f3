"""`headrace index`: a manifest and indexes for WebDataset tars that are there already; no tar is rewritten.

Tars made by others are adopted: every image is decoded once, and samples that cannot be used are left out of the
indexes and named in report.jsonl. For a set that is there already, its files beside the tars are made again; the
manifest says which tars these are, what the classes are, and whether prep made them.
"""

import re
from collections import defaultdict
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


def adopt(root: Path, *, say: Say) -> Manifest:
    """Index the tars in folder `root`."""
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
        manifest = _write(root, {name: [scans[path] for path in tars] for name, tars in splits.items()}, old, say)
    left_out = sum(len(scan.notes) for scan in scans.values())
    if left_out:
        say(f"{root}: {left_out:,} samples could not be used; {REPORT} names each with its reason")
    return manifest


def _known(root: Path, manifest: Manifest) -> dict[str, list[Path]]:
    for shard in (shard for split in manifest.splits for shard in split.shards):
        check_size(root, shard, manifest)
    for split in manifest.splits:
        index.refuse_newer(root, split.index)
    return {split.name: [root / shard.name for shard in split.shards] for split in manifest.splits}


def _found(root: Path) -> dict[str, list[Path]]:
    """The tars of each split, by a word in their names; train where there is none."""
    if not root.is_dir():
        what = "not a folder" if root.exists() else "no such folder"
        raise UsageError(f"{root}: {what}. Give a folder of WebDataset tars")
    splits: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(one for one in root.glob("*.tar") if one.is_file()):
        if not re.match(TAR_NAME, path.name):
            raise UsageError(f"{path}: its name is not made of letters, digits and _.- alone. Rename the tar")
        splits[split_of(split_word(path.name, Options()), Options())].append(path)
    if not splits:
        raise UsageError(
            f"{root}: no .tar files in it. Give a folder of WebDataset tars (compressed ones: unpack them)"
        )
    return {name: splits[name] for name in ("train", "val", "test") if name in splits}


def _write(root: Path, splits: dict[str, list[Scan]], old: Manifest | None, say: Say) -> Manifest:
    """Write .idx, Parquet, report and manifest, in this order."""
    scans = [scan for part in splits.values() for scan in part]
    if old:
        _check_same(root, old, scans)
    classes = old.classes if old else _classes(root, {one.label for scan in scans for one in scan.samples})
    ids = [one.id for one in classes] if old is None or old.made is None else map(str, range(len(classes)))
    label_of = {one: label for label, one in enumerate(ids)}
    made = tuple(_write_split(root, name, part, label_of, old, say) for name, part in splits.items())
    _write_report(root, [note for scan in scans for note in scan.notes])
    source, options = (old.source, old.options) if old and old.made is not None else (_source(scans), {})
    manifest = Manifest.make(classes, made, source, options)
    store.write_bytes(root / NAME, manifest.render())
    headers.remember(manifest)  # every image that is indexed was admitted
    return manifest


def _source(scans: list[Scan]) -> SourceInfo:
    """The samples of the tars as the source of an adopted set."""
    found = [(f"{scan.path.name}/{one.key}", one.row[8], one.row[9]) for scan in scans for one in scan.samples]
    digest, count = fingerprint([], found)
    return SourceInfo(layout=ADOPTED, files=count, fingerprint=digest)


def _write_report(root: Path, notes: list[Note]) -> None:
    """Name what cannot be used; what an older report named is out of date, unless prep wrote that."""
    if notes:
        store.write_bytes(root / REPORT, report(notes))
    elif not (root / STAMP).exists():
        (root / REPORT).unlink(missing_ok=True)


def _check_same(root: Path, old: Manifest, scans: list[Scan]) -> None:
    """Derived files are only made again from the very tars that the manifest names; of prep's, every sample is one."""
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
                f"{scan.path}: {len(scan.notes):,} samples cannot be used, the first is {first}. "
                f"{remedy.of_images(root, old.made)}"
            )


def _classes(root: Path, labels: set[str]) -> tuple[ClassInfo, ...]:
    """Integers stand for themselves, so that label 7 stays label 7; words are sorted."""
    if not labels:
        raise DataError("no usable sample in any tar: each needs an image and a .cls member with its label")
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
        size = scan.path.stat().st_size
        shards.append(ShardInfo(name=scan.path.name, samples=len(scan.samples), bytes=size, sha256=scan.sha256))
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
            f"{scan.path}: {one.key}: its label {one.label!r} is none of the manifest's {len(label_of):,}. "
            f"{remedy.of_manifest(root)}"
        )
    return label


def _take_over(root: Path, old: Manifest, name: str, table: Rows, sources: list[str], say: Say) -> list[str]:
    """The path of each sample in prep's source, which only the old index knows; size and CRC-32 go into `table`.

    Where that index is lost too, say so, and leave `table` and `sources` as they are.
    """
    info = next(split.index for split in old.splits if split.name == name)
    try:
        known = index.read_texts(root, info, ("source", "source_size", "source_crc32"))
    except DataError:
        known = {"source": []}
    if len(known["source"]) != len(sources):
        say(
            f"{root}: {info.name} was the only one to know where its samples came from in the source; "
            "it now names each by its tar and its key"
        )
        return sources
    table["source_size"], table["source_crc32"] = known["source_size"], known["source_crc32"]
    return known["source"]
