"""Compares the rate of the input pipeline with other ways to feed the same images.

    python -m benchmarks.input.peers SHARDS [--repeats 5] [--sizes 64 224] [--seconds 1.5] [--only NAME ...]
                                     [--work FOLDER]

All contenders do the same task on the CPU as fast as they can: read, decode, random resized crop, flip, resize, and
return float32 images that are normalised for the network, in batches of 256. The first batch of each is checked. Each
contender is a process, which is started once for each size, and stopped while others are measured. They take turns; a
turn lasts the given seconds and at least six batches. CPU time is that of the process and all its workers. `decode
floors` is that time divided by the time of libjpeg-turbo for decoding alone. `first batch` is measured from the start
of the process, including imports, once for each size. A contender named a floor or a part does only a part of the task.
If a library needs a format of its own, it is made from the shards before anything is timed, and kept in --work.
Contenders whose packages are missing are omitted, and the result names them.
Six contenders are alive at a time, because memory is limited; in each such round Headrace, DALI's reader and the floor
run too. Ratios compare turns of the same round; `headrace to it` is Headrace's rate divided by that of a contender.
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
ROUND = 6  # contenders in a round, besides those of every round
Runs = dict[str, list[Run]]


def missing(name: str) -> str:
    """A phrase that names the missing packages of a contender; empty if none is missing."""
    lacking = [package for package, module in CONTENDERS[name].packages.items() if not there(module)]
    return f"{', '.join(lacking)} not installed" if lacking else ""


def there(module: str) -> bool:
    """Whether a module and the packages that contain it can be found."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def prepared(name: str, shards: Path, work: Path) -> Path:
    """The path of a contender's own format."""
    return work / f"{name}-{json.loads((shards / 'shardset.json').read_text('utf-8'))['digest'][-12:]}"


def prepare(name: str, shards: str, out: str) -> None:
    """Make a contender's own format in a process of its own; it appears at `out` only when it is complete."""
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
    """Exit unless the batch has 256 normalised float32 images of this size."""
    import numpy as np

    seen = np.asarray(batch)
    mean, spread = float(seen.mean()), float(seen.std())
    shapes = [(BATCH, 3, size, size), (BATCH, size, size, 3)]
    if seen.shape not in shapes or seen.dtype != np.float32 or abs(mean) > 0.6 or not 0.8 < spread < 1.6:
        raise SystemExit(f"the batch is {seen.dtype} {seen.shape} of mean {mean:.2f} and deviation {spread:.2f}")


def contend(name: str, shards: str, size: int, prepared: str) -> None:
    """Run as a contender: make the first batch, then take turns on request. Never returns."""
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
    """The contenders of each round, which are alive at the same time."""
    others = [name for name in names if name not in ALWAYS]
    shares = [others[first : first + ROUND] for first in range(0, max(1, len(others)), ROUND)]
    return [[name for name in names if name in ALWAYS or name in share] for share in shares]


def rows_of(contests: list[Runs], starts: list[dict[str, float]]) -> list[Row]:
    """A row for each contender, from its turns in all rounds."""
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
    """The versions of the packages that contenders need, as text."""
    packages = dict.fromkeys(package for name in names for package in CONTENDERS[name].packages)
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a variant with another name, such as tensorflow-cpu
            other = packages_distributions()[package][0]
            found[other] = version(other)
    return ", ".join(f"{package} {number}" for package, number in sorted(found.items()))


def turbojpeg_of_the_system() -> str:
    """The version of Debian's package of libturbojpeg; without it, whether the library exists at all."""
    command = ["dpkg-query", "-W", "-f", "${Version}", "libturbojpeg0"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "of another package" if find_library("turbojpeg") else "none"


def prepare_all(names: list[str], asked: argparse.Namespace, left_out: dict[str, str]) -> None:
    """Make the missing formats; contenders for which that fails are added to `left_out`."""
    asked.work.mkdir(parents=True, exist_ok=True)
    for name in names:
        out = prepared(name, asked.shards, asked.work)
        if CONTENDERS[name].prepare and not out.exists():
            print(f"preparing {name}", file=sys.stderr, flush=True)
            turn = turns.Turn(child(__file__, "prepare", name, asked.shards, out))
            turns.attempt(name, turn.answer, left_out)
            turn.end()


def contest(names: list[str], size: int, asked: argparse.Namespace, left_out: dict[str, str]) -> list[Row]:
    """Measure all contenders at one size, in rounds; contenders that fail are added to `left_out`."""
    contests, starts = [], []
    for alive in rounds([name for name in names if name not in left_out]):
        commands = {
            name: child(__file__, "contend", name, asked.shards, size, prepared(name, asked.shards, asked.work))
            for name in alive
        }
        runs, ready = turns.contest(commands, asked.repeats, asked.seconds, left_out)
        if lost := [name for name in ALWAYS if name not in runs]:
            raise SystemExit(f"{lost[0]}, with which all are compared, {left_out[lost[0]]}")
        contests.append(runs)
        starts.append(ready)
    return rows_of(contests, starts)


def main() -> None:
    """Measure all contenders at all sizes."""
    benchmark = Benchmark(__file__, __doc__, "input", "The input pipeline beside others")
    benchmark.add("shards", type=path, help="a shard set")
    benchmark.share(repeats=5, sizes=[64, 224], seconds=1.5)
    only = f"these, {OURS}, {LIKE} and the floor"
    benchmark.add("--only", nargs="+", choices=CONTENDERS, metavar="NAME", default=[], help=only)
    work = Path(tempfile.gettempdir()) / "headrace-bench-input"
    benchmark.add("--work", type=path, default=work, help="a folder for contenders' own formats, which is kept")
    asked = benchmark.parse(data=DATA, batch=BATCH, threads=THREADS)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that stopped contenders are ended too
    chosen = list(dict.fromkeys([*ALWAYS, *asked.only])) if asked.only else list(CONTENDERS)
    left_out = {name: why for name in CONTENDERS if name in chosen and (why := missing(name))}
    names = [name for name in CONTENDERS if name in chosen and name not in left_out]
    benchmark.note(**{"versions of peers": versions_of(names), "libturbojpeg of the system": turbojpeg_of_the_system()})
    prepare_all(names, asked, left_out)
    tables = {f"{size} px": contest(names, size, asked, left_out) for size in asked.sizes}
    why_not = "; ".join(f"{name} ({why})" for name, why in left_out.items()) or "none"
    benchmark.note(**{"left out": why_not.replace(str(asked.work), "WORK")})  # a result names no path of the machine
    hows = "\n".join(f"- {name}: {CONTENDERS[name].how}" for name in names if name not in left_out)
    benchmark.write(tables, f"{benchmark.method}\n\n{hows}")


if __name__ == "__main__":
    main()
