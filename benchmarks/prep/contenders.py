"""The contenders of `benchmarks.prep.writers`: each writes all samples of a source into a folder.

Each writer has its own defaults for the size of its shards, and receives the samples in the same order.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness.processes import child
from benchmarks.litdata_chunks import write_chunks

CLASSES = "HEADRACE_BENCH_CLASSES"  # the number of classes that a contender uses; all classes if it is not set
Sample = tuple[str, str, bytes, int]  # split, key, JPEG, label


class Contender(NamedTuple):
    """A writer: its title in the table, its function, and the module and the package that it needs."""

    title: str
    run: Callable[[Path, Path, int, int], None]  # source, out, part, parts
    module: str
    package: str


def options() -> Any:
    """The options of prep: its defaults, restricted to the first classes if CLASSES is set."""
    from headrace.prep.command.options import Options

    return Options(classes=int(os.environ[CLASSES])) if os.environ.get(CLASSES) else Options()


@cache
def opened(source: Path) -> Any:
    """The source, which a process opens only once."""
    from headrace.prep.sources.detect import open_files, open_source

    return open_source(open_files(source, source.parent), options())


def places(source: Path, part: int = 0, parts: int = 1) -> Iterator[tuple[str, str, Any, int]]:
    """Yield (split, key, entry, label) of every sample of a part, in the order in which prep writes them."""
    import numpy as np

    from headrace.prep.make import plan
    from headrace.shards.sample import key_of

    for name, listed in opened(source).splits.items():
        order = np.argsort(plan.keys(np.arange(len(listed.labels)), 0, name), kind="stable")[part::parts]
        labels = listed.labels[order].tolist()
        for place, (entry, label) in enumerate(zip(listed.files.take(order), labels, strict=True)):
            yield name, key_of(place), entry, label


def samples(source: Path, part: int = 0, parts: int = 1) -> Iterator[Sample]:
    """Like `places`, with the bytes of the image instead of its entry."""
    read = opened(source).reader.read
    return ((name, key, read(entry), label) for name, key, entry, label in places(source, part, parts))


def headrace(source: Path, out: Path, _part: int, _parts: int) -> None:
    """Run `headrace prep` with its defaults."""
    from headrace.prep.convert import prep

    prep(source, out / "set", options(), workers=cores(), if_exists="error", say=lambda _: None)


def shard_writer(source: Path, out: Path, part: int, parts: int) -> None:
    """Run the webdataset library's ShardWriter with its defaults, 10,000 samples per shard."""
    from webdataset import ShardWriter

    writers: dict[str, Any] = {}
    for name, key, jpeg, label in samples(source, part, parts):
        if name not in writers:
            writers[name] = ShardWriter(str(out / f"{name}-{part}-%06d.tar"), maxcount=10_000, verbose=0)
        writers[name].write({"__key__": key, "jpg": jpeg, "cls": label})
    for writer in writers.values():
        writer.close()


def mds_writer(source: Path, out: Path, part: int, parts: int) -> None:
    """Run mosaicml-streaming's MDSWriter with its defaults, 64 MiB per shard, no hashes."""
    from streaming import MDSWriter

    writers: dict[str, Any] = {}
    for name, _, jpeg, label in samples(source, part, parts):
        if name not in writers:
            writers[name] = MDSWriter(columns={"jpeg": "bytes", "label": "int"}, out=str(out / name / str(part)))
        writers[name].write({"jpeg": jpeg, "label": label})
    for writer in writers.values():
        writer.finish()


def litdata_samples(reader: Any, items: list[tuple[Any, int]]) -> Iterator[dict[str, Any]]:
    """Read some samples in litData's worker."""
    for entry, label in items:
        yield {"jpeg": reader.read(entry), "label": label}


def litdata_optimize(source: Path, out: Path, _part: int, _parts: int) -> None:
    """Run litData's optimize with a worker for each core."""
    inputs: dict[str, list[Any]] = {}
    for name, _, entry, label in places(source):
        inputs.setdefault(name, []).append((entry, label))
    for name, found in inputs.items():
        write_chunks(partial(litdata_samples, opened(source).reader), found, out / name, cores())


def each_core(contender: str) -> Callable[[Path, Path, int, int], None]:
    """A function that runs a process of a contender for each core, each with its part of the samples."""

    def run(source: Path, out: Path, _part: int, _parts: int) -> None:
        commands = [child(__file__, "run", str(source), contender, str(out), part, cores()) for part in range(cores())]
        running = [subprocess.Popen(command) for command in commands]
        if sum(abs(process.wait()) for process in running):  # waits for each, also after a failure
            raise SystemExit(f"a process of {contender} failed")

    return run


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


CONTENDERS = {
    "headrace": Contender("headrace prep", headrace, "headrace", "headrace"),
    "wds": Contender("webdataset.ShardWriter, one process", shard_writer, "webdataset", "webdataset"),
    "wds-cores": Contender(
        "webdataset.ShardWriter, a process for each core", each_core("wds"), "webdataset", "webdataset"
    ),
    "mds": Contender("streaming.MDSWriter, one process", mds_writer, "streaming", "mosaicml-streaming"),
    "mds-cores": Contender(
        "streaming.MDSWriter, a process for each core", each_core("mds"), "streaming", "mosaicml-streaming"
    ),
    "litdata": Contender("litdata.optimize, a worker for each core", litdata_optimize, "litdata", "litdata"),
}


def installed(contender: Contender) -> bool:
    """Whether the module that the contender needs is installed."""
    return find_spec(contender.module) is not None


def run(source: str, name: str, out: str, part: int = 0, parts: int = 1) -> None:
    """Run a contender in a process of its own: write a part of all samples."""
    CONTENDERS[name].run(Path(source), Path(out), part, parts)
