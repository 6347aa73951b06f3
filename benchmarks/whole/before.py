"""Compares this checkout with an older one: the input, the training step and the start.

    python -m benchmarks.whole.before SHARDS OLD [--repeats 15] [--starts 9] [--sizes 64 224] [--seconds 1.5]
                                      [--parts input cached step start help] [--work FOLDER]

OLD is a checkout of commit c122ade, the last before the rooms, with Headrace installed in its `.venv`. SHARDS were made
by it, so that both can read them. The contenders of input, step and start are those of the two checkouts' own
benchmarks, each in its own environment, and take turns. `old again` is a second process of the older checkout, whose
difference from the first shows the variation between processes. `loader` is `headrace.Loader` in a plain loop. Ratios
are those of turns in one repetition.
"""

import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.harness import turns
from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.processes import Run, child, interleave, last_answer, time_command
from benchmarks.harness.tables import Row, rate_rows, spread
from benchmarks.input import peers
from benchmarks.step import peers as step_peers
from benchmarks.whole import start

OLD, AGAIN, NEW = "old", "old again", "new"
INPUT = {"input": "headrace", "cached": "headrace-decoded-cache"}
LOADER = {"input": "headrace.Loader", "cached": "headrace.Loader, decoded cache"}
STEP = f"{step_peers.OURS}, channels_last"
BATCH = 32  # images per step
PARTS = (*INPUT, "step", "start", "help")


def python_of(old: Path, *words: object) -> list[str]:
    """A command with the Python of the older checkout."""
    return [str(old / ".venv" / "bin" / "python"), *map(str, words)]


def contest(commands: dict[str, Sequence[str]], repeats: int, seconds: float) -> list[Row]:
    """Rows of rates measured in turns, with the ratios of CPU time and of rates."""
    failed: dict[str, str] = {}
    runs, _ = turns.contest(commands, repeats, seconds, failed)
    if failed:
        raise SystemExit(f"{failed}")
    return [
        row | spread("CPU time to old", quotients(own, runs[OLD], "cpu_microseconds"), 3, "CPU time, min to max")
        for row, own in zip(rate_rows(runs, OLD), runs.values(), strict=True)
    ]


def quotients(runs: Sequence[Run], others: Sequence[Run], name: str) -> list[float]:
    """The quotients of a figure of each run and of the other contender's run in the same repetition."""
    return [run[name] / other[name] for run, other in zip(runs, others, strict=True)]


def input_commands(part: str, shards: Path, old: Path, size: int, work: Path) -> dict[str, Sequence[str]]:
    """The commands of the contenders for one part of the input."""
    name, script = INPUT[part], old / "benchmarks" / "bench_input.py"
    prepared = {which: work / f"{part}-{which}" for which in (OLD, NEW)}
    if part == "cached":
        for which, out in prepared.items():
            out.parent.mkdir(parents=True, exist_ok=True)
            words = ["--prepare", name, "--prepared", out]
            command = python_of(old, script, shards, *words) if which == OLD else prepare_command(name, shards, out)
            if not out.exists():
                last_answer(command)
    loader = LOADER[part]
    before = python_of(old, script, shards, "--be", name, "--sizes", size, "--prepared", prepared[OLD])
    after, face = (child(peers.__file__, "contend", one, shards, size, prepared[NEW]) for one in (name, loader))
    return {OLD: before, AGAIN: before, NEW: after, "loader": face}


def prepare_command(name: str, shards: Path, out: Path) -> list[str]:
    """The command that makes the own format of a contender of this checkout."""
    return child(peers.__file__, "prepare", name, shards, out)


def step_commands(old: Path, size: int) -> dict[str, Sequence[str]]:
    """The commands of the contenders for the step."""
    script = old / "benchmarks" / "bench_step.py"
    before = python_of(old, script, "--be", STEP, "--sizes", size, "--batch", BATCH)
    return {OLD: before, AGAIN: before, NEW: child(step_peers.__file__, "contend", STEP, size, BATCH)}


def start_old(shards: Path, old: Path) -> Run:
    """Measure one start of the older checkout, up to its first batch."""
    script = old / "benchmarks" / "bench_start.py"
    parts: Run = last_answer(python_of(old, script, shards, "--began", time.time()))
    to_batch = sum(seconds for name, seconds in parts.items() if name != "first update")
    return {"seconds": to_batch}


def start_new(shards: Path) -> Run:
    """Measure one start of this checkout, up to its first batch."""
    return {"seconds": start.start(shards, "demo")["process start to first batch"]}


def start_rows(runs: dict[str, list[Run]]) -> list[Row]:
    """A row for each contender, from its seconds."""
    return [
        {"contender": name, "n": len(own)}
        | spread("seconds", [run["seconds"] for run in own], 3)
        | spread("seconds to old", quotients(own, runs[OLD], "seconds"), 3, "ratio, min to max")
        for name, own in runs.items()
    ]


def rates(part: str, asked: Namespace) -> dict[str, list[Row]]:
    """The tables of the input or of the step, one for each size."""
    tables = {}
    for size in asked.sizes:
        if part == "step":
            commands = step_commands(asked.old, size)
        else:
            commands = input_commands(part, asked.shards, asked.old, size, asked.work)
        tables[f"{part}, {size} px"] = contest(commands, asked.repeats, asked.seconds)
    return tables


def starts(part: str, asked: Namespace) -> dict[str, list[Row]]:
    """The table of the start to the first batch, or of `headrace --help`."""
    if part == "start":
        before, after = partial(start_old, asked.shards, asked.old), partial(start_new, asked.shards)
    else:
        before = partial(time_command, python_of(asked.old, asked.old / ".venv" / "bin" / "headrace", "--help"))
        after = partial(time_command, [str(Path(sys.executable).parent / "headrace"), "--help"])
    runs = interleave({OLD: before, AGAIN: before, NEW: after}, asked.starts)
    return {"process start to first batch" if part == "start" else "headrace --help": start_rows(runs)}


def main() -> None:
    """Measure each part."""
    benchmark = Benchmark(__file__, __doc__, "before", "Compared with the commit before the rooms")
    benchmark.add("shards", type=path, help="a shard set of format 1")
    benchmark.add("old", type=path, help="the older checkout")
    benchmark.share(repeats=15, sizes=[64, 224], seconds=1.5)
    benchmark.add("--starts", type=int, default=9, help="starts of each checkout")
    benchmark.add("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="the parts to measure")
    work = Path(tempfile.gettempdir()) / "headrace-bench-before"
    benchmark.add("--work", type=path, default=work, help="a folder for decoded caches, which is kept")
    asked = benchmark.parse()
    tables: dict[str, list[Row]] = {}
    for part in asked.parts:
        tables |= rates(part, asked) if part in (*INPUT, "step") else starts(part, asked)
    benchmark.write(tables)


if __name__ == "__main__":
    main()
