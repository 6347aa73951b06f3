"""Measures the time from the start of a run's process to its first batch and its first update, in parts.

    python -m benchmarks.whole.start SHARDS [--repeats 5] [--recipe demo]

Every repetition is a new process that does the same as `headrace train` on one process, up to the first update; files
are in the page cache. The parts are: `python`, from the start of the process to the first line of Headrace; `imports`,
of torch, DALI and Headrace; `open`, for recipe, manifest, index and tars; `build`, for network, optimizer and data
pipeline, without warming up; `first batch`, until it is decoded and on the device; `first update`, for forward,
backward and optimizer of that batch, with the preparations of libraries at their first call. In the very first run no
loop is compiled yet, because the user's cache is an empty folder. `refusal` is the time of a whole command whose recipe
has a misspelt key, and `help` that of `headrace --help`, both with the start and the end of the interpreter.
"""

import sys
import tempfile
import time
from functools import partial
from itertools import chain, pairwise
from pathlib import Path

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.processes import Run, call_apart, interleave, time_command
from benchmarks.harness.tables import seconds_rows

COMMANDS = {
    "refusal": ("train", "SHARDS", "--set", "nonsense.x=1"),
    "help": ("--help",),
}
REFUSED = 2  # the exit code for an invalid recipe


def be(shards: str, recipe: str, began: float) -> Run:
    """Start a run in this new process; return the seconds of each part."""
    marks = {"python": time.time()}
    from headrace.train.machine.openmp import spin_briefly

    spin_briefly()
    from headrace.train.run.assemble import build_feed, build_network, build_numerics, build_step
    from headrace.train.run.process import entered
    from headrace.train.run.request import Request
    from headrace.train.run.resolve import resolve
    from headrace.train.run.training import train
    from headrace.train.step.tally import LossRing, Tally

    del train  # imported as the command does, with everything that it imports
    marks["imports"] = time.time()
    setup = resolve(Request(Path(shards), recipe, ("runtime.precision=fp32", "runtime.device=cpu")), 1)
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


def start(shards: Path, recipe: str, **environment: str) -> Run:
    """Measure one start in a process with additional environment."""
    parts: Run = call_apart(__file__, "be", shards, recipe, time.time(), **environment)
    to_batch = sum(seconds for name, seconds in parts.items() if name != "first update")
    return {**parts, "process start to first batch": to_batch}


def start_first(shards: Path, recipe: str) -> Run:
    """Measure a start with an empty cache."""
    with tempfile.TemporaryDirectory() as empty:
        return start(shards, recipe, XDG_CACHE_HOME=empty)


def time_commands(shards: Path) -> Run:
    """The seconds of whole commands; the command with a misspelt key must end with the status REFUSED."""
    seconds = {}
    for name, words in COMMANDS.items():
        command = [sys.executable, "-m", "headrace", *(str(shards) if word == "SHARDS" else word for word in words)]
        seconds[name] = time_command(command, status=REFUSED if name == "refusal" else 0)["seconds"]
    return seconds


def main() -> None:
    """Measure several starts and whole commands."""
    benchmark = Benchmark(__file__, __doc__, "start", "From process start to first batch")
    benchmark.add("shards", type=path, help="a shard set")
    benchmark.add("--recipe", default="demo", help="name or file of the run's recipe")
    benchmark.share(repeats=5)
    asked = benchmark.parse()
    contenders = {
        "To the first batch and update": partial(start, asked.shards, asked.recipe),
        "The same in the very first run": partial(start_first, asked.shards, asked.recipe),
        "Whole commands": partial(time_commands, asked.shards),
    }
    runs = interleave(contenders, asked.repeats)
    benchmark.write({name: seconds_rows(own) for name, own in runs.items()})


if __name__ == "__main__":
    main()
