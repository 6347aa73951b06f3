"""The last part of a prep: indexes, report, manifest."""

import json
from pathlib import Path

import numpy as np

from headrace.prep.command.options import Options
from headrace.prep.make.record import Note, Record, record_path
from headrace.prep.make.shard import Job
from headrace.prep.sources.source import Source, States, states
from headrace.shards import index, store
from headrace.shards.manifest import NAME, FileInfo, Manifest, ShardInfo, SourceInfo, SplitInfo
from headrace.shards.names import REPORT, STAMP
from headrace.shards.sample import key_of

WRITER = 3  # raised when the same source and options come to give other bytes or records: interrupted runs start afresh


def write_set(
    work: Path, source: Source, options: Options, made: dict[str, list[tuple[Job, Record]]], stamp: bytes
) -> Manifest:
    """Write all that stands beside the tars, the manifest last; remove what only an interrupted run needs."""
    seen = [states(source.others, source.reader)]
    splits = []
    for name, parts in made.items():
        seen += [States(job.files.paths, job.files.sizes, record.crcs.astype(np.int64)) for job, record in parts]
        splits.append(_write_split(work, name, parts))
    notes = [note for parts in made.values() for _, record in parts for note in record.notes]
    _write_report(work, notes + [Note(path, "skipped", reason) for path, reason in source.left_out])
    files = States.joined(seen)
    about = SourceInfo(layout=source.layout, files=len(files), fingerprint=files.fingerprint())
    manifest = Manifest.make(source.classes, tuple(splits), about, options.record())
    store.write_bytes(work / STAMP, stamp)
    for job, _ in (part for parts in made.values() for part in parts):
        record_path(work, job.name).unlink()
    store.write_bytes(work / NAME, manifest.render())
    (work / "plan.json").unlink()
    return manifest


def _write_split(work: Path, name: str, parts: list[tuple[Job, Record]]) -> SplitInfo:
    """Write the Parquet index of a split; its entry in the manifest."""
    rows = np.concatenate([record.rows for _, record in parts])
    keys = ([key_of(job.first + place) for place in record.kept.tolist()] for job, record in parts)
    sources = ([job.files.paths[place] for place in record.kept.tolist()] for job, record in parts)
    parquet = index.render(rows, keys, sources)
    store.write_bytes(work / f"{name}.parquet", parquet)
    shards = tuple(
        ShardInfo(name=f"{record.name}.tar", samples=len(record.rows), bytes=record.bytes, sha256=record.sha256)
        for _, record in parts
    )
    return SplitInfo(name=name, samples=len(rows), index=FileInfo.of(f"{name}.parquet", parquet), shards=shards)


def _write_report(work: Path, notes: list[Note]) -> None:
    """One line for each image that was changed or left out, and for each link; no file when there is none."""
    if notes:
        store.write_bytes(work / REPORT, report(notes))


def report(notes: list[Note]) -> bytes:
    """The report's content, sorted. What is not ASCII is escaped: names are foreign, and a terminal may show it."""
    return "".join(json.dumps(note._asdict()) + "\n" for note in sorted(notes)).encode()
