"""Compares prep of this checkout with prep of another checkout, in turns.

    python -m benchmarks.prep.before SOURCE PYTHON [--repeats 7] [--workers 2]

PYTHON is the interpreter of an environment in which the other checkout is installed. Each run is the command `headrace
prep` into a new folder, from the start of its process to its end. The digests of the sets are compared, and the sets
are removed. Ratios are those of this checkout to the other one, pair by pair.
"""

import json
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.processes import Run, interleave, time_command
from benchmarks.harness.tables import Row, spread

NOW, BEFORE = "this checkout", "the other"


def prep(python: Path, source: Path, workers: int, room: Path, digests: set[str]) -> Run:
    """Run a prep; return its seconds, and add the digest of its set to `digests`."""
    out = room / "out"
    command = [str(python), "-m", "headrace", "prep", str(source), str(out), "--workers", str(workers)]
    ran = time_command(command)
    digests.add(json.loads((out / "shardset.json").read_text("utf-8"))["digest"])
    shutil.rmtree(out)
    return ran


def main() -> None:
    """Run both in turns."""
    benchmark = Benchmark(__file__, __doc__, "prep-before", "Prep beside another commit's")
    benchmark.add("source", type=path, help="the source for prep")
    benchmark.add("python", type=Path, help="the interpreter in the environment of the other checkout")
    benchmark.add("--workers", type=int, default=2, help="workers of each prep")
    benchmark.add("--other", default="", help="the commit of the other checkout, for the result")
    benchmark.share(repeats=7)
    asked = benchmark.parse()
    digests: set[str] = set()
    with tempfile.TemporaryDirectory() as name:
        pythons = {NOW: Path(sys.executable), BEFORE: asked.python.absolute()}
        contenders = {
            who: partial(prep, python, asked.source, asked.workers, Path(name), digests)
            for who, python in pythons.items()
        }
        runs = interleave(contenders, asked.repeats)
    if len(digests) > 1:
        raise SystemExit(f"the sets differ: {digests}")
    rows: list[Row] = []
    for what in ("seconds", "cpu_seconds"):
        ratios = [now[what] / before[what] for now, before in zip(runs[NOW], runs[BEFORE], strict=True)]
        medians = {who: sorted(run[what] for run in own)[len(own) // 2] for who, own in runs.items()}
        rows.append(
            {
                "what": what,
                "n": len(ratios),
                **{f"{who}, median": round(value, 2) for who, value in medians.items()},
                **spread("ratio", ratios, 3),
            }
        )
    benchmark.write({"Pairs": rows}, runs=runs)


if __name__ == "__main__":
    main()
