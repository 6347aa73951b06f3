"""How fast the input pipeline is, side by side with other ways to feed the same images.

    python -m benchmarks.input.peers SHARDS [--repeats 5] [--sizes 64 224] [--seconds 1.5] [--only NAME ...]
                                     [--work FOLDER]

All contenders do one task on the CPU: read, decode, random resized crop, flip, resize, and hand over float32 images
normalised for the network, 256 a batch, as fast as they can; the first batch of each is checked for that. Each is a
process, started once for each size and stopped while others are measured; they take turns, and a turn lasts the given
seconds and at least six batches. CPU time is that of the process and all its workers. `decode floors` is that time as
a multiple of libjpeg-turbo's for decoding alone. `first batch` is counted from the start of the process, imports
included, once for each size. What is named a floor or a part does only a part of the task. Formats that a library
wants for itself are made from the shards before anything is timed, and kept in --work for the next time. What this
Python lacks is left out, and the result says so.
Six contenders are alive at a time, as memory is finite, and besides them in each such round Headrace, DALI's reader and
the floor. Ratios are those of turns in one round; `headrace to it` is Headrace's rate as a multiple of a contender's.
benchmarks/input/contenders has the contenders.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from ctypes.util import find_library
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness import turns
from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.processes import Run, child
from benchmarks.harness.tables import Row, rate_rows, ratios, spread
from benchmarks.input.contenders import CONTENDERS
from benchmarks.input.contenders.task import BATCH, DATA, THREADS, Given

WARM_UP, AT_LEAST = 4, 6  # batches
OURS, LIKE, FLOOR = ALWAYS = "headrace", "dali-reader", "floor: decode"
ROUND = 6  # contenders besides
Runs = dict[str, list[Run]]


def missing(name: str) -> str:
    """The packages of a contender that this Python lacks, as words; empty when there are none."""
    lacking = [package for package, module in CONTENDERS[name].packages.items() if not there(module)]
    return f"{', '.join(lacking)} not installed" if lacking else ""


def there(module: str) -> bool:
    """Whether a module can be found, its packages included."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def prepared(name: str, shards: Path, work: Path) -> Path:
    """Where a contender's own format lies."""
    return work / f"{name}-{json.loads((shards / 'shardset.json').read_text('utf-8'))['digest'][-12:]}"


def prepare(name: str, shards: str, out: str) -> None:
    """Make a contender's own format, in a process of its own; visible only when it is whole."""
    make, whole = CONTENDERS[name].prepare, Path(out)
    if make is None:
        return
    half = whole.with_name(whole.name + ".part")
    if half.is_dir():
        shutil.rmtree(half)
    half.unlink(missing_ok=True)
    make(Path(shards), half)
    half.rename(whole)
    turns.tell(ready_at=time.time())


def check(batch: Any, size: int) -> None:
    """Refuse a batch that is not the task's: 256 normalised float32 images of that size."""
    import numpy as np

    seen = np.asarray(batch)
    mean, spread = float(seen.mean()), float(seen.std())
    shapes = [(BATCH, 3, size, size), (BATCH, size, size, 3)]
    if seen.shape not in shapes or seen.dtype != np.float32 or abs(mean) > 0.6 or not 0.8 < spread < 1.6:
        raise SystemExit(f"the batch is {seen.dtype} {seen.shape} of mean {mean:.2f} and deviation {spread:.2f}")


def contend(name: str, shards: str, size: int, prepared: str) -> None:
    """Be a contender: the first batch, then a turn whenever asked. Never returns."""
    contender = CONTENDERS[name]
    batches = contender.batches(Given(Path(shards), size, Path(prepared)))
    first = next(batches)
    at_first = time.time()
    if not contender.floor:
        check(first, size)
    del first
    for _ in range(WARM_UP):
        next(batches)
    turns.contend(lambda: len(next(batches)), at_first, AT_LEAST)
    os._exit(0)  # workers and pipelines may be in the middle of a batch


def rounds(names: list[str]) -> list[list[str]]:
    """Who is alive at the same time."""
    others = [name for name in names if name not in ALWAYS]
    shares = [others[first : first + ROUND] for first in range(0, max(1, len(others)), ROUND)]
    return [[name for name in names if name in ALWAYS or name in share] for share in shares]


def rows_of(contests: list[Runs], starts: list[dict[str, float]]) -> list[Row]:
    """A row a contender, from its turns in all rounds."""
    table = []
    for name in CONTENDERS:
        its = [runs for runs in contests if name in runs]
        if not its:
            continue
        mine, like, ours = ([run for runs in its for run in runs[one]] for one in (name, LIKE, OURS))
        row = rate_rows({LIKE: like, name: mine}, LIKE)[-1]
        row |= spread("headrace to it", list(ratios(ours, mine)), 2, "headrace to it, min to max")
        row["first batch, s"] = round(median(times[name] for times in starts if name in times), 1)
        table.append(row)
    floor = next(row for row in table if row["contender"] == FLOOR)["CPU microseconds an image"]
    for row in table:
        row["decode floors"] = round(row["CPU microseconds an image"] / floor, 1)
    return table


def versions_of(names: list[str]) -> str:
    """Versions of the packages that contenders need."""
    packages = dict.fromkeys(package for name in names for package in CONTENDERS[name].packages)
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a variant under another name, as tensorflow-cpu is
            other = packages_distributions()[package][0]
            found[other] = version(other)
    return ", ".join(f"{package} {number}" for package, number in sorted(found.items()))


def turbojpeg_of_the_system() -> str:
    """The version of Debian's package, or whether there is the library at all."""
    command = ["dpkg-query", "-W", "-f", "${Version}", "libturbojpeg0"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "of another package" if find_library("turbojpeg") else "none"


def prepare_all(names: list[str], asked: argparse.Namespace, left_out: dict[str, str]) -> None:
    """Make the formats that are not there yet; `left_out` says of whom that failed."""
    asked.work.mkdir(parents=True, exist_ok=True)
    for name in names:
        out = prepared(name, asked.shards, asked.work)
        if CONTENDERS[name].prepare and not out.exists():
            print(f"preparing {name}", file=sys.stderr, flush=True)
            turn = turns.Turn(child(__file__, "prepare", name, asked.shards, out))
            turns.attempt(name, turn.answer, left_out)
            turn.end()


def contest(names: list[str], size: int, asked: argparse.Namespace, left_out: dict[str, str]) -> list[Row]:
    """All contenders at one size, in rounds; those that fail are added to `left_out`."""
    contests, starts = [], []
    for alive in rounds([name for name in names if name not in left_out]):
        commands = {
            name: child(__file__, "contend", name, asked.shards, size, prepared(name, asked.shards, asked.work))
            for name in alive
        }
        runs, ready = turns.contest(commands, asked.repeats, asked.seconds, left_out)
        if lost := [name for name in ALWAYS if name not in runs]:
            raise SystemExit(f"{lost[0]}, to which all are compared, {left_out[lost[0]]}")
        contests.append(runs)
        starts.append(ready)
    return rows_of(contests, starts)


def main() -> None:
    """All contenders at all sizes."""
    benchmark = Benchmark(__file__, __doc__, "input", "The input pipeline beside others")
    benchmark.add("shards", type=path, help="a shard set")
    benchmark.share(repeats=5, sizes=[64, 224], seconds=1.5)
    only = f"these, {OURS}, {LIKE} and the floor"
    benchmark.add("--only", nargs="+", choices=CONTENDERS, metavar="NAME", default=[], help=only)
    work = Path(tempfile.gettempdir()) / "headrace-bench-input"
    benchmark.add("--work", type=path, default=work, help="a folder for formats of their own, kept")
    asked = benchmark.parse(data=DATA, batch=BATCH, threads=THREADS)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # contenders that stand still are ended, not left behind
    chosen = list(dict.fromkeys([*ALWAYS, *asked.only])) if asked.only else list(CONTENDERS)
    left_out = {name: why for name in CONTENDERS if name in chosen and (why := missing(name))}
    names = [name for name in CONTENDERS if name in chosen and name not in left_out]
    benchmark.note(**{"versions of peers": versions_of(names), "libturbojpeg of the system": turbojpeg_of_the_system()})
    prepare_all(names, asked, left_out)
    tables = {f"{size} px": contest(names, size, asked, left_out) for size in asked.sizes}
    why_not = "; ".join(f"{name} ({why})" for name, why in left_out.items()) or "none"
    benchmark.note(**{"left out": why_not.replace(str(asked.work), "WORK")})  # a result names no place
    hows = "\n".join(f"- {name}: {CONTENDERS[name].how}" for name in names if name not in left_out)
    benchmark.write(tables, f"{benchmark.method}\n\n{hows}")


if __name__ == "__main__":
    main()
