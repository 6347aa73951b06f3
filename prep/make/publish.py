"""The last part of a prep: indexes, report, manifest."""

import json
from pathlib import Path

import numpy as np

from headrace.prep.command.options import Options
from headrace.prep.make.record import Note, Record, record_path
from headrace.prep.make.shard import Job
from headrace.prep.sources.files import READ, Unused
from headrace.prep.sources.source import Source, States, states
from headrace.shards import index_writer, store
from headrace.shards.manifest import NAME, Manifest, ShardInfo, SourceInfo, SplitInfo
from headrace.shards.names import REPORT, STAMP
from headrace.shards.sample import key_of

WRITER = 4  # raised when the same source and options come to give other bytes or records: interrupted runs start afresh


def states_of(job: Job, record: Record, labels: list[int] | None = None) -> States:
    """The source files of a shard; only those with these labels, if they are given."""
    rows = np.arange(len(job.labels)) if labels is None else np.flatnonzero(np.isin(job.labels, labels))
    files = job.files.take(rows)
    return States(files.paths, files.sizes, record.crcs[rows].astype(np.int64))


def write_set(
    work: Path,
    source: Source,
    options: Options,
    made: dict[str, list[tuple[Job, Record]]],
    dropped: list[States],
    stamp: bytes,
) -> Manifest:
    """Write all that stands beside the tars, the manifest last; remove what only an interrupted run needs.

    The fingerprint is of the whole source, with the images of classes that were `dropped`: it is compared with a
    source of which nobody has decoded anything yet.
    """
    seen = [states(source.others, source.reader), *dropped]
    splits = []
    for name, parts in made.items():
        seen += [states_of(job, record) for job, record in parts]
        splits.append(_write_split(work, name, parts))
    notes = [note for parts in made.values() for _, record in parts for note in record.notes]
    _write_report(work, notes + [Note(one.path, _action(one), one.reason, one.files) for one in source.unused])
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
    samples = sum(len(record.rows) for _, record in parts)
    with index_writer.writing(work / f"{name}.parquet", samples) as index:
        for job, record in parts:
            kept = record.kept.tolist()
            keys = [key_of(job.first + place) for place in kept]
            index.add(record.rows, keys, [job.files.paths[place] for place in kept])
    shards = tuple(
        ShardInfo(name=f"{record.name}.tar", samples=len(record.rows), bytes=record.bytes, sha256=record.sha256)
        for _, record in parts
    )
    return SplitInfo(name=name, samples=samples, index=index.info, shards=shards)


def _action(unused: Unused) -> str:
    return "read" if unused.reason == READ else "skipped"


def _write_report(work: Path, notes: list[Note]) -> None:
    """One line for each image that was changed and each file that is no sample; no file when there is none."""
    if notes:
        store.write_bytes(work / REPORT, report(notes))


def report(notes: list[Note]) -> bytes:
    """The report's content, sorted. What is not ASCII is escaped: names are foreign, and a terminal may show it."""
    return "".join(json.dumps(_line(note)) + "\n" for note in sorted(notes)).encode()


def _line(note: Note) -> dict[str, str | int]:
    """The fields of a line; `files` is there where it stands for a folder."""
    fields: dict[str, str | int] = note._asdict()
    return fields if note.source.endswith("/") else {name: fields[name] for name in ("source", "action", "reason")}
