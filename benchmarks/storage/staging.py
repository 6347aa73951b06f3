"""Compares staging of a set from a web server with boto3, s3fs, and the readers of mosaicml-streaming and litData.

    python -m benchmarks.storage.staging SHARDS [--s3fs PYTHON] [--link MB] [--need MB] [--repeats 5] [--work FOLDER]

nginx serves SHARDS on the loopback interface, and the same training samples as shards of mosaicml-streaming and chunks
of litData, which are as large as the tars. For clients of S3 its files are objects of a bucket. Every contender is a
process of its own with an empty folder, and all take turns in every repetition. There are three tables:

- The whole: all training samples are read from the server once, in their order. boto3 and s3fs have no reader and only
  fetch the tars. CPU time is that of the contender's process and its children, without imports and without the server,
  per GB in its folder at the end. Headrace hashes every byte and flushes each tar to the disk; the others do neither.
- The first batch: 64 samples in random order are read with an empty folder, through a link that passes --link MB per
  second over all connections. Headrace reads windows of 2 tars. "From the start" includes the start of the process and
  its imports (of torch in streaming and litData). "Fetched" is the size of the folder then.
- The steady stall: a step takes as long as reading its bytes at --need MB per second, behind a link with 1.3 times the
  bandwidth that the tars of these images need; a thread makes 3 batches ahead. Stall is the share of --seconds in which
  the step waited for a batch; the first batch and the 4 s after it do not count. All of this should be in the first
  epoch, because nothing is fetched later: "fetched meanwhile" is the amount.

The link is a relay in a process of its own, because nginx's limit_rate applies to single connections and would favour
contenders that open many. The set is read once before, so that the server has it in memory. Nothing is decoded.

Peers are not requirements of this project; missing peers are omitted, and the result names them. To install all of
them: nginx (apt-get install nginx-light); `pip install obstore boto3 mosaicml-streaming litdata` in the Python that
runs this (with --no-deps if these would install another torch); and s3fs in a separate environment, whose Python --s3fs
names, because s3fs and boto3 need different versions of botocore.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.processes import Run, call_apart, child_module, interleave, last_answer
from benchmarks.harness.tables import Row, spread
from benchmarks.input.contenders import own_formats
from benchmarks.input.contenders.task import jpegs, split
from benchmarks.storage import readers
from benchmarks.storage.readers import CONTENDERS, Contender
from benchmarks.storage.servers import NoServerError, link, nginx

MB = 1e6
_SPARE = 1.3  # the link has this multiple of the bandwidth that the steps need
_PEERS = {"boto3": "boto3", "s3fs": "s3fs", "streaming": "mosaicml-streaming", "litdata": "litdata"}


class Contest:
    """Runs contenders with one server."""

    def __init__(self, pythons: Mapping[str, str], work: Path, need: float, seconds: float) -> None:
        self._pythons, self._work, self._need, self._seconds = pythons, work, need, seconds

    def measure(self, name: str, what: str, port: int) -> Run:
        """Run a contender in a fresh process with an empty folder; return its measurements."""
        folder = Path(tempfile.mkdtemp(dir=self._work))
        words = (name, what, f"http://127.0.0.1:{port}", folder, self._need, self._seconds)
        os.sync()
        began = time.time()
        try:
            found: Run = last_answer([self._pythons[name], *child_module(readers.__file__, "be", *words)])
        finally:
            shutil.rmtree(folder)
        return {**found, "from_start": found["at"] - began} if "at" in found else found

    def runs(self, names: list[str], what: str, port: int, repeats: int) -> dict[str, list[Run]]:
        """The runs of some contenders in turns, by title."""
        measured: dict[str, Callable[[], Run]] = {
            CONTENDERS[name].title: partial(self.measure, name, what, port) for name in names
        }
        return interleave(measured, repeats)


def whole_rows(runs: Mapping[str, list[Run]], samples: int, size: int) -> list[Row]:
    """A row for each contender. Raises RuntimeError if a contender did not yield all samples."""
    rows = []
    for name, own in runs.items():
        if any(run["samples"] and (run["samples"], run["bytes"]) != (samples, size) for run in own):
            raise RuntimeError(f"{name}: received {own[0]['samples']:,.0f} samples, expected {samples:,}")
        row = {"contender": name, "n": len(own), **spread("seconds", [run["seconds"] for run in own], 2)}
        row["MB/s"] = round(median(run["fetched"] / run["seconds"] for run in own) / MB)
        each = [1e9 * run["cpu_seconds"] / run["fetched"] for run in own]
        rows.append({**row, **spread("CPU s/GB", each, 2, "CPU s/GB, min to max")})
    return rows


def first_rows(runs: Mapping[str, list[Run]]) -> list[Row]:
    """A row for each contender, about the first batch."""
    return [
        {
            "contender": name,
            "n": len(own),
            **spread("seconds", [run["seconds"] for run in own], 2),
            **spread("from the start", [run["from_start"] for run in own], 2, "from the start, min to max"),
            "MB fetched": round(median(run["fetched"] for run in own) / MB, 1),
        }
        for name, own in runs.items()
    ]


def steady_rows(runs: Mapping[str, list[Run]]) -> list[Row]:
    """A row for each contender, about the steady stall."""
    return [
        {
            "contender": name,
            "n": len(own),
            **spread("stall, %", [100 * run["stall"] for run in own], 2),
            "MB/s": round(median(run["rate"] for run in own) / MB, 2),
            "MB fetched before": round(median(run["before"] for run in own) / MB),
            "MB fetched meanwhile": round(median(run["meanwhile"] for run in own) / MB),
        }
        for name, own in runs.items()
    ]


@contextmanager
def served(shards: Path, names: list[str], work: Path, size: int) -> Iterator[Path]:
    """A context with a folder that has the set, and the formats of other contenders, in files of this size."""
    root = work / "served"
    root.mkdir()
    (root / "set").symlink_to(shards)
    for name, write in (("mds", own_formats.write_mds), ("litdata", own_formats.write_litdata)):
        if name in {CONTENDERS[one].prefix for one in names}:
            call_apart(__file__, "make", write.__name__, shards, root / name, size)
    yield root


def make(write: str, shards: str, out: str, size: int) -> int:
    """Write the training samples in another format, in a process of its own; return the number of files."""
    getattr(own_formats, write)(Path(shards), Path(out), size)
    return len(list(Path(out).iterdir()))


def there(contender: Contender, python: str) -> bool:
    """Whether a Python has the module that a contender needs."""
    words = [python, "-c", f"import importlib.util as u; raise SystemExit(not u.find_spec({contender.module!r}))"]
    return subprocess.run(words, check=False).returncode == 0


def versions_of(s3fs: Path | None) -> str:
    """The packages of the peers with their versions."""
    found = []
    for package in ("obstore", *_PEERS.values()):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    if s3fs is not None:
        words = [
            str(s3fs),
            "-c",
            "import s3fs, botocore; print(f's3fs {s3fs.__version__} (botocore {botocore.__version__})')",
        ]
        found.append(subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip())
    return ", ".join(found)


def main() -> None:
    """Measure all contenders that can run here."""
    benchmark = Benchmark(__file__, __doc__, "staging", "A set from a web server to a host")
    benchmark.add("shards", type=path, help="a shard set in a folder")
    benchmark.add("--s3fs", type=path, metavar="PYTHON", help="the Python of an environment with s3fs")
    benchmark.add("--link", type=float, default=50.0, help="MB/s before the first batch")
    benchmark.add("--need", type=float, default=20.0, help="MB/s that the steps read")
    benchmark.share(repeats=5, seconds=10.0)
    benchmark.add("--work", type=path, default=Path(tempfile.gettempdir()), help="a folder on the disk to measure")
    asked = benchmark.parse()
    pythons = {name: str(asked.s3fs) if name == "s3fs" and asked.s3fs else sys.executable for name in CONTENDERS}
    names = [name for name, one in CONTENDERS.items() if there(one, pythons[name])]
    left_out = ", ".join(name for name in CONTENDERS if name not in names) or "none"
    benchmark.note(**{"peers": versions_of(asked.s3fs), "not installed here, so left out": left_out})
    reading = [name for name in names if CONTENDERS[name].batches is not None]
    sizes = [len(jpeg) for jpeg, _ in jpegs(asked.shards)]  # brings the set into memory too
    tars = split(asked.shards).tar_bytes
    needed = _SPARE * asked.need * sum(tars) / sum(sizes)
    try:
        with tempfile.TemporaryDirectory(dir=asked.work) as folder:
            work = Path(folder)
            contest = Contest(pythons, work, asked.need * MB, asked.seconds)
            with served(asked.shards, names, work, max(tars)) as root, nginx(root, work) as port:
                whole = contest.runs(names, "whole", port, asked.repeats)
                with link(port, asked.link * MB) as slow:
                    first = contest.runs(reading, "first", slow, asked.repeats)
                with link(port, needed * MB) as slow:
                    steady = contest.runs(reading, "steady", slow, asked.repeats)
    except NoServerError as error:
        benchmark.fail(error)
    tables = {
        "The whole": whole_rows(whole, len(sizes), sum(sizes)),
        f"The first batch, {asked.link:g} MB/s": first_rows(first),
        f"Steps that need {asked.need:g} MB/s, behind {needed:.3g} MB/s": steady_rows(steady),
    }
    benchmark.write(tables, runs={"whole": whole, "first": first, "steady": steady})


if __name__ == "__main__":
    main()
