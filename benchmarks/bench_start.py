"""How long a training run takes from the start of its process to its first batch and its first update, in parts.

    python benchmarks/bench_start.py SHARDS [--repeats 5] [--recipe demo]

Every repetition is a new process that does what `headrace train` does on one process, up to the first update; files are
in the page cache. Seconds of each part: `python` from the start of the process to the first line of ours; `imports` of
torch, DALI and our modules; `open`: recipe, manifest, index and tars; `build`: network, optimizer and data pipeline,
without warming up; `first batch`: until it has been decoded and is on the device; `first update`: forward, backward and
optimizer of that batch, with what the libraries prepare at their first call. In the very first run no loop has been
compiled yet: the user's cache is an empty folder there. `refusal` is the whole of a command whose recipe has a misspelt
key, `help` that of `headrace --help`, each with the interpreter's start and end.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from common import ROOT, facts, measured_by, write

COMMANDS = {
    "refusal": ("train", "SHARDS", "--set", "nonsense.x=1"),
    "help": ("--help",),
}


def be(shards: Path, recipe: str, began: float) -> dict[str, float]:
    """Start a run, and say how many seconds each part took."""
    marks = {"python": time.time()}
    from headrace.train.machine.openmp import spin_briefly

    spin_briefly()
    from headrace.train.run.assemble import build_feed, build_network, build_numerics, build_step
    from headrace.train.run.process import entered
    from headrace.train.run.request import Request
    from headrace.train.run.resolve import resolve
    from headrace.train.run.training import train
    from headrace.train.step.tally import LossRing, Tally

    del train  # imported as the command does, with all that it brings
    marks["imports"] = time.time()
    setup = resolve(Request(shards, recipe, ("runtime.precision=fp32", "runtime.device=cpu")), 1)
    marks["open"] = time.time()
    with entered(setup.recipe.runtime) as place:
        built = build_network(setup)
        step = build_step(setup, place, build_numerics(setup, place, built), built)
        with build_feed(setup, place, 0) as feed:
            marks["build"] = time.time()
            first = next(feed)
            marks["first batch"] = time.time()
            step(0, chain([first], feed), Tally(place.accelerator), LossRing(2, place.accelerator, 0))
            place.accelerator.synchronize()
            marks["first update"] = time.time()
    times = [began, *marks.values()]
    return {name: after - before for name, (before, after) in zip(marks, pairwise(times), strict=True)}


def start(asked: argparse.Namespace, **environment: str) -> dict[str, float]:
    """One start, in a process with more environment."""
    parts = measured_by(__file__, asked.shards, "--recipe", asked.recipe, "--began", time.time(), **environment)
    to_batch = sum(seconds for name, seconds in parts.items() if name != "first update")
    return {**parts, "process start to first batch": to_batch}


def seconds_of(command: tuple[str, ...], shards: Path) -> float:
    """Seconds that a whole command takes."""
    words = [str(shards) if word == "SHARDS" else word for word in command]
    began = time.time()
    subprocess.run([sys.executable, str(ROOT / "cli.py"), *words], capture_output=True, check=False)
    return time.time() - began


def lines(found: list[dict[str, float]]) -> list[dict[str, Any]]:
    """A line a part: median and spread."""
    return [
        {
            "part": name,
            "n": len(found),
            "seconds, median": round(statistics.median(run[name] for run in found), 3),
            "min to max": f"{min(run[name] for run in found):.3f} to {max(run[name] for run in found):.3f}",
        }
        for name in found[0]
    ]


def main() -> None:
    """Be one start, or measure several."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shards", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--began", type=float, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.began is not None:
        print(json.dumps(be(asked.shards, asked.recipe, asked.began)))
        return
    starts, firsts, commands = [], [], []
    for _ in range(asked.repeats):
        starts.append(start(asked))
        with tempfile.TemporaryDirectory() as empty:
            firsts.append(start(asked, XDG_CACHE_HOME=empty))
        commands.append({name: seconds_of(command, asked.shards) for name, command in COMMANDS.items()})
        print(starts[-1], firsts[-1], commands[-1], file=sys.stderr, flush=True)
    said = f"python benchmarks/bench_start.py SHARDS --repeats {asked.repeats} --recipe {asked.recipe}"
    tables = {
        "To the first batch and update": lines(starts),
        "The same in the very first run": lines(firsts),
        "Whole commands": lines(commands),
    }
    print(write("start", "From process start to first batch", facts(said), (__doc__ or "").split("\n\n", 2)[2], tables))


if __name__ == "__main__":
    main()
