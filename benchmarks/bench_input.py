"""How fast the input pipeline is, side by side with other ways to feed the same images.

    python benchmarks/bench_input.py SHARDS [--repeats 5] [--sizes 64 224] [--seconds 1.5] [--only NAME ...]
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
benchmarks/input_contenders has the contenders.
"""

import argparse
import json
import os
import shlex
import shutil
import signal
import statistics
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import turns
from common import facts, rows, write
from input_contenders import CONTENDERS
from input_contenders.task import BATCH, THREADS, Given

WARM_UP, AT_LEAST = 4, 6  # batches
OURS, LIKE, FLOOR = ALWAYS = "headrace", "dali-reader", "floor: decode"
ROUND = 6  # contenders besides
Runs = dict[str, list[dict[str, Any]]]


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


def prepare(name: str, shards: Path, out: Path) -> None:
    """Make a contender's own format; visible only when it is whole."""
    make = CONTENDERS[name].prepare
    if make is None:
        return
    half = out.with_name(out.name + ".part")
    if half.is_dir():
        shutil.rmtree(half)
    half.unlink(missing_ok=True)
    make(shards, half)
    half.rename(out)


def check(batch: Any, size: int) -> None:
    """Refuse a batch that is not the task's: 256 normalised float32 images of that size."""
    import numpy as np

    seen = np.asarray(batch)
    mean, spread = float(seen.mean()), float(seen.std())
    shapes = [(BATCH, 3, size, size), (BATCH, size, size, 3)]
    if seen.shape not in shapes or seen.dtype != np.float32 or abs(mean) > 0.6 or not 0.8 < spread < 1.6:
        raise SystemExit(f"the batch is {seen.dtype} {seen.shape} of mean {mean:.2f} and deviation {spread:.2f}")


def contend(name: str, given: Given) -> None:
    """Be a contender: the first batch, then a turn whenever asked."""
    contender = CONTENDERS[name]
    batches = contender.batches(given)
    first = next(batches)
    at_first = time.time()
    if not contender.floor:
        check(first, given.size)
    del first
    for _ in range(WARM_UP):
        next(batches)
    turns.contend(lambda: len(next(batches)), at_first, AT_LEAST)


def command(*words: object) -> list[str]:
    """The same script again, in a process of its own."""
    return [sys.executable, __file__, *map(str, words)]


def rounds(names: list[str]) -> list[list[str]]:
    """Who is alive at the same time."""
    others = [name for name in names if name not in ALWAYS]
    shares = [others[first : first + ROUND] for first in range(0, max(1, len(others)), ROUND)]
    return [[name for name in names if name in ALWAYS or name in share] for share in shares]


def lines(found: list[Runs], starts: list[dict[str, float]]) -> list[dict[str, Any]]:
    """A line a contender, from its turns in all rounds."""
    table = []
    for name in CONTENDERS:
        its = [runs for runs in found if name in runs]
        if not its:
            continue
        mine, like, ours = ([run for runs in its for run in runs[one]] for one in (name, LIKE, OURS))
        line = rows({LIKE: like, name: mine}, LIKE)[-1]
        to_it = [one["images_per_second"] / other["images_per_second"] for one, other in zip(ours, mine, strict=True)]
        line["headrace to it, median"] = round(statistics.median(to_it), 2)
        line["headrace to it, min to max"] = f"{min(to_it):.2f} to {max(to_it):.2f}"
        line["first batch, s"] = round(statistics.median(times[name] for times in starts if name in times), 1)
        table.append(line)
    floor = next(line for line in table if line["contender"] == FLOOR)["CPU microseconds an image"]
    for line in table:
        line["decode floors"] = round(line["CPU microseconds an image"] / floor, 1)
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


def be(name: str, size: int, asked: argparse.Namespace) -> list[str]:
    """The command that is a contender."""
    out = prepared(name, asked.shards, asked.work)
    return command(asked.shards, "--be", name, "--sizes", size, "--prepared", out)


def run(asked: argparse.Namespace) -> Path:
    """All contenders at all sizes; the path of the result."""
    chosen = list(dict.fromkeys([*ALWAYS, *asked.only])) if asked.only else list(CONTENDERS)
    left_out = {name: why for name in CONTENDERS if name in chosen and (why := missing(name))}
    names = [name for name in CONTENDERS if name in chosen and name not in left_out]
    asked.work.mkdir(parents=True, exist_ok=True)
    for name in names:
        out = prepared(name, asked.shards, asked.work)
        if CONTENDERS[name].prepare and not out.exists():
            print(f"preparing {name}", file=sys.stderr, flush=True)
            turn = turns.Turn(command(asked.shards, "--prepare", name, "--prepared", out))
            turns.attempt(name, turn.answer, left_out)
            turn.end()
    said = f"python benchmarks/bench_input.py SHARDS --repeats {asked.repeats} --seconds {asked.seconds:g} --sizes "
    said += " ".join(map(str, asked.sizes))
    if asked.only:
        said += f" --only {shlex.join(asked.only)}"
    about = facts(said, data="TinyImageNet's training split", batch=BATCH)
    about |= {"threads": THREADS, "versions of peers": versions_of(names)}
    tables = {}
    for size in asked.sizes:
        found, starts = [], []
        for alive in rounds([name for name in names if name not in left_out]):
            commands = {name: be(name, size, asked) for name in alive}
            runs, began = turns.contest(commands, asked.repeats, asked.seconds, left_out)
            if lost := [name for name in ALWAYS if name not in runs]:
                raise SystemExit(f"{lost[0]}, to which all are compared, {left_out[lost[0]]}")
            found.append(runs)
            starts.append(began)
        tables[f"{size} px"] = lines(found, starts)
    why_not = "; ".join(f"{name} ({why})" for name, why in left_out.items()) or "none"
    about["left out"] = why_not.replace(str(asked.work), "WORK")  # a result names no place
    hows = "\n".join(f"- {name}: {CONTENDERS[name].how}" for name in names if name not in left_out)
    method = (__doc__ or "").split("\n\n", 2)[2].strip()
    return write("input", "The input pipeline beside others", about, f"{method}\n\n{hows}", tables)


def main() -> None:
    """Run all contenders; or be one of the processes that this takes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shards", type=Path)
    parser.add_argument("--repeats", type=int, default=5, help="turns of every contender at each size")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 224], help="sides of the images, pixels")
    parser.add_argument("--seconds", type=float, default=1.5, help="of a turn")
    parser.add_argument(
        "--only", nargs="+", choices=CONTENDERS, default=[], help=f"these, {OURS}, {LIKE} and the floor"
    )
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "headrace-bench-input")
    parser.add_argument("--be", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--prepare", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--prepared", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.be:
        contend(asked.be, Given(asked.shards, asked.sizes[0], asked.prepared))
        os._exit(0)  # workers and pipelines may be in the middle of a batch
    if asked.prepare:
        prepare(asked.prepare, asked.shards, asked.prepared)
        turns.tell(ready_at=time.time())
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # contenders that stand still are ended, not left behind
        print(run(asked))


if __name__ == "__main__":
    main()
