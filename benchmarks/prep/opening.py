"""Measures how a host's ranks open a set of ten million samples: the seconds, and the memory of all ranks together.

    python -m benchmarks.prep.opening [--images 10000000] [--shards 5000] [--ranks 8] [--work FOLDER]

The set has no images: its tars are holes of the right size, and its index has invented numbers, hashes that do not
compress, and paths like those of ImageNet. The ranks are processes that import what opening needs, wait for each other,
and open the set and its training split at the same moment. The seconds are those of the slowest rank; the CPU seconds
are those of all ranks. Memory is the sum of PSS (smaps_rollup) over the ranks, in which each process counts its share
of shared pages: before opening, after it, and after each rank has read every row of every column. Peaks are VmHWM. In
"first" the cache has no file of columns, in "later" it has one, and in "copies" no cache can be written, so that each
rank has its own columns. Indexes are in the page cache. The last table is about one rank, which finds the columns, and
then determines the order of its first batch and the positions of its samples.
Everything is made in a temporary folder and removed.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.paths import ROOT
from benchmarks.harness.processes import ENVIRONMENT, Run, call_apart, child
from benchmarks.harness.tables import Row, spread, turned
from benchmarks.prep.memory import peak

SIZE, SIDE, CLASSES = 110_000, 500, 1000  # bytes of an image on average, pixels, labels
FIRST, LATER, COPIES = "first", "later", "copies"


def make_set(folder: str, images: int, shards: int) -> Run:
    """Make a set with this many samples and tars; return the time and the memory that its index took."""
    import numpy as np

    from headrace.shards.index_writer import writing
    from headrace.shards.manifest import NAME, ClassInfo, Manifest, ShardInfo, SourceInfo, SplitInfo
    from headrace.shards.order import deal
    from headrace.shards.sample import key_of

    root, infos, began = Path(folder), [], time.perf_counter()
    root.mkdir()
    with writing(root / "train.parquet", images) as index:
        for number in range(shards):
            ids = deal(images, shards, number)
            rows = made_rows(number, np.asarray(ids))
            keys = [key_of(one) for one in ids]
            names = [f"n{label:08d}" for label in rows["label"].tolist()]
            index.add(rows, keys, [f"train/{name}/{name}_{key}.JPEG" for name, key in zip(names, keys, strict=True)])
            size = int(rows["offset"][-1] + rows["size"][-1]) + 2048
            infos.append(ShardInfo(name=f"train-{number:06d}.tar", samples=len(ids), bytes=size, sha256="0" * 64))
            with (root / infos[-1].name).open("wb") as stream:
                stream.truncate(size)
    split = SplitInfo(name="train", samples=images, index=index.info, shards=tuple(infos))
    classes = tuple(ClassInfo(id=f"n{number:08d}", name=f"class {number}") for number in range(CLASSES))
    source = SourceInfo(layout="made up", files=images, fingerprint="0" * 64)
    (root / NAME).write_bytes(Manifest.make(classes, (split,), source, {}).render())
    sizes = {"index": (root / "train.parquet").stat().st_size, "manifest": (root / NAME).stat().st_size}
    return {
        "index written, s": round(time.perf_counter() - began, 1),
        "writer's peak MB": peak_megabytes(),
        "index MB": round(sizes["index"] / 1e6),
        "manifest KB": round(sizes["manifest"] / 1e3),
    }


def made_rows(shard: int, ids: Any) -> Any:
    """The rows of a shard, whose numbers vary as much as those of photographs."""
    import numpy as np

    from headrace.shards.draws import Stream, hash64
    from headrace.shards.sample import ROW

    bits = hash64(0, Stream.PREP, ids[:, None] * 8 + np.arange(8))
    rows = np.zeros(len(ids), ROW)
    rows["shard"], rows["size"] = shard, SIZE // 2 + bits[:, 0] % np.uint64(SIZE)
    ends = np.cumsum((rows["size"].astype(np.int64) + 2047) // 512 * 512 + 512)
    rows["offset"][1:], rows["offset"][0] = ends[:-1] + 512, 512
    rows["label"], rows["crc32"] = bits[:, 1] % np.uint64(CLASSES), bits[:, 2] & np.uint64(0xFFFFFFFF)
    rows["width"], rows["height"] = SIDE, SIDE - 125 + bits[:, 3] % np.uint64(250)
    rows["source_size"], rows["source_crc32"] = rows["size"], rows["crc32"]
    rows["sha256"] = np.ascontiguousarray(bits[:, 4:]).view(np.uint8)
    return rows


def rank(folder: str) -> None:
    """Run as a rank: take a step for each line on standard input, and answer with a line."""
    from headrace.shards.shardset import ShardSet

    _wait("ready")
    began, cpu = time.perf_counter(), time.process_time()
    split = ShardSet.open(folder).split("train")
    _wait(json.dumps({"s": time.perf_counter() - began, "cpu s": time.process_time() - cpu}))
    looked_at = [int(column.sum()) for column in (split.labels, split.widths, split.heights)]
    looked_at += [int(column.sum()) for column in (split._offsets, split._sizes, split._crcs)]  # noqa: SLF001
    _wait(json.dumps({"peak MB": peak_megabytes(), "sum": sum(looked_at)}))


def first_batch(folder: str, window: int) -> Run:
    """The seconds and memory of one rank from opening to the positions of 256 samples, with or without windows."""
    import numpy as np

    from headrace.shards.order import Order, Windows
    from headrace.shards.shardset import ShardSet

    before, began = memory(os.getpid()), time.perf_counter()
    split = ShardSet.open(folder).split("train")
    order = Order(len(split), 0, Windows(window, split.shard_sizes) if window else None)
    ids = order.positions(0, 256).ids
    split.keep_open(2 * window if window else 1 << 20)
    seen = len(np.unique(split.places(ids).descriptors))
    return {
        "s": round(time.perf_counter() - began, 3),
        "PSS more, MB": round(memory(os.getpid()) - before),
        "peak MB": peak_megabytes(),
        "tars of the batch": seen,
    }


def _wait(line: str) -> None:
    print(line, flush=True)
    sys.stdin.readline()


def peak_megabytes() -> int:
    """The peak resident set of this process so far, in MB; that of getrusage would include the parent's peak."""
    return round(peak(os.getpid()) / 1e6)


def memory(process: int) -> float:
    """The PSS of a process in MB."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1e3


class Ranks:
    """Processes that take each step at the same time."""

    def __init__(self, count: int, folder: Path, cache: Path) -> None:
        environment = {**ENVIRONMENT, "XDG_CACHE_HOME": str(cache)}
        command = child(__file__, "rank", folder)
        pipe = subprocess.PIPE
        self._all = [
            subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True)
            for _ in range(count)
        ]

    def answers(self) -> list[str]:
        """The next line of each process."""
        return [process.stdout.readline() for process in self._all if process.stdout]

    def go(self) -> None:
        """Let all of them take the next step."""
        for process in self._all:
            if process.stdin:
                process.stdin.write("\n")
                process.stdin.flush()

    def memory(self) -> int:
        """The PSS of all processes together in MB."""
        return round(sum(memory(process.pid) for process in self._all))

    def end(self) -> None:
        """Wait until all processes have ended."""
        for process in self._all:
            if process.wait():
                raise SystemExit(f"a rank ended with {process.returncode}")


def open_together(ranks: int, folder: Path, cache: Path) -> Run:
    """The time and memory that opening takes, over all ranks."""
    started = Ranks(ranks, folder, cache)
    started.answers()
    before = started.memory()
    started.go()
    opened = [json.loads(line) for line in started.answers()]
    after = started.memory()
    started.go()
    looked = [json.loads(line) for line in started.answers()]
    end = started.memory()
    started.go()
    started.end()
    if len({one["sum"] for one in looked}) != 1:
        raise SystemExit("the ranks see different numbers")
    return {
        "s": max(one["s"] for one in opened),
        "CPU s of all": sum(one["cpu s"] for one in opened),
        "PSS before, MB": before,
        "PSS after, MB": after,
        "PSS when all is looked at, MB": end,
        "largest peak MB": max(one["peak MB"] for one in looked),
    }


def ways(work: Path) -> Iterator[tuple[str, Path]]:
    """The names of the ways to open, and the cache folder of each; "later" follows "first"."""
    with tempfile.TemporaryDirectory(dir=work) as name:
        yield FIRST, Path(name)
        yield LATER, Path(name)
    yield COPIES, Path("/dev/null")


def columns_of(runs: Sequence[Run]) -> Row:
    """The medians and spreads of repeated openings."""
    row: Row = {"n": len(runs)}
    for name in runs[0]:
        row |= spread(
            name, [run[name] for run in runs], 2 if name.startswith(("s", "CPU")) else 0, f"{name}, min to max"
        )
    return row


def main() -> None:
    """Make the set, open it in each way, and determine a first batch."""
    benchmark = Benchmark(__file__, __doc__, "opening", "The cost of opening a very large set")
    benchmark.add("--images", type=int, default=10_000_000, help="samples of the set")
    benchmark.add("--shards", type=int, default=5000, help="tars of the set")
    benchmark.add("--ranks", type=int, default=8, help="processes that open it at the same moment")
    benchmark.add("--work", type=path, help="a folder with 1.5 GB of space for 10 million")
    benchmark.share(repeats=3)
    asked = benchmark.parse()
    runs: dict[str, list[Run]] = {FIRST: [], LATER: [], COPIES: []}
    with tempfile.TemporaryDirectory(dir=asked.work) as name:
        folder = Path(name) / "set"
        made = call_apart(__file__, "make_set", folder, asked.images, asked.shards)
        print(made, file=sys.stderr, flush=True)
        for _ in range(asked.repeats):
            for way, cache in ways(Path(name)):
                runs[way].append(open_together(asked.ranks, folder, cache))
                print(f"{way}: {runs[way][-1]}", file=sys.stderr, flush=True)
        window = -(-asked.shards * (1 << 20) // asked.images)
        orders = {"": 0, f"window of {window}": window, "whole set": 0}  # the first finds no columns
        batches = {
            what: call_apart(__file__, "first_batch", folder, length, XDG_CACHE_HOME=str(Path(name) / "cache"))
            for what, length in orders.items()
        }
        del batches[""]
    benchmark.note(set=", ".join(f"{key} {value}" for key, value in made.items()))
    tables = {way: columns_of(own) for way, own in runs.items()}
    batch_rows = [{"order": what, **run} for what, run in batches.items()]
    benchmark.write({f"{asked.ranks} ranks": turned(tables, "figure"), "To the places of the first batch": batch_rows})


if __name__ == "__main__":
    main()
