"""Checks whether EfficientNet's updates are as fast as in an older checkout, and give the same bits.

    python -m benchmarks.whole.updates SHARDS SMALL OLD WORK [--repeats 21] [--sizes 32 64] [--seconds 1.5]

OLD is a checkout with Headrace installed in its `.venv`, which has `headrace.fit` with callbacks. SHARDS is a set with
so many images that no epoch ends during the measurement. Both checkouts train EfficientNet-B0 on it from random
weights, with dropout and stochastic depth, in fp32 on the CPU, one update after another: input, forward, backward and
optimizer as in any run.
Contenders take turns; each is a process that is stopped while others are measured. `old again` is a second process of
the older checkout, whose difference from the first shows the variation between processes. Ratios are those of turns in
one repetition.
`weights` is the start of the SHA-256 of the tensors after a whole run of two epochs on SMALL, a small set. WORK is a
folder for these runs.
"""

import hashlib
import json
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from benchmarks.harness import turns
from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.paths import ROOT
from benchmarks.harness.processes import last_answer
from benchmarks.harness.tables import Row
from benchmarks.whole.before import AGAIN, NEW, OLD, contest

BATCH = 64
AT_LEAST = 2  # steps in a turn
SETTINGS = ("model.dropout=0.2", "model.drop_connect=0.2", "runtime.device=cpu", "runtime.precision=fp32")
PROGRAM = "import sys; sys.path.insert(0, {!r}); from benchmarks.whole import updates; updates.{}(*sys.argv[1:])"


def contend(shards: str, out: str, size: str) -> None:
    """Run as a contender: a run that makes an update on request."""
    import headrace

    asked: SimpleQueue[None] = SimpleQueue()
    done: SimpleQueue[None] = SimpleQueue()

    class Paced(headrace.Callback):
        def on_step_logged(self, logged: Any) -> None:
            del logged
            done.put(None)
            asked.get()

    def step() -> int:
        asked.put(None)
        done.get()
        return BATCH

    def take_turns() -> None:
        done.get()  # the first update is made without a request
        turns.contend(step, time.time(), AT_LEAST)

    threading.Thread(target=take_turns, daemon=True).start()
    given = (*SETTINGS, f"augment.size={size}", f"train.global_batch={BATCH}", "runtime.log_every=1")
    headrace.fit(shards, "demo", out=out, settings=given, callbacks=[Paced()], quiet=True)


def learn(shards: str, out: str) -> None:
    """Print the digest of the weights at the end of a whole run."""
    import headrace

    headrace.fit(shards, "demo", out=out, settings=(*SETTINGS, "train.epochs=2"), quiet=True)
    print(json.dumps(digest(Path(out) / "last.pt")))


def digest(checkpoint: Path) -> str:
    """The start of the SHA-256 of the names and bytes of a checkpoint's weights."""
    import torch

    state = hashlib.sha256()
    for name, value in sorted(torch.load(checkpoint, weights_only=True)["model"].items()):
        state.update(name.encode() + value.contiguous().numpy().tobytes())
    return state.hexdigest()[:16]


def command(python: Path, function: str, *given: object) -> list[str]:
    """The command that calls a function of this module with the `headrace` of this Python."""
    return [str(python), "-P", "-c", PROGRAM.format(str(ROOT), function), *map(str, given)]


def main() -> None:
    """Make the whole runs, then take turns."""
    benchmark = Benchmark(__file__, __doc__, "updates", "EfficientNet's updates beside those of an older checkout")
    benchmark.add("shards", type=path, help="a large shard set that both can read")
    benchmark.add("small", type=path, help="a small shard set")
    benchmark.add("old", type=path, help="the older checkout")
    benchmark.add("work", type=path, help="a new folder for the runs")
    benchmark.share(repeats=21, sizes=[32, 64], seconds=1.5)
    asked = benchmark.parse(model="EfficientNet-B0, random weights", batch=BATCH)
    before = asked.old / ".venv" / "bin" / "python"
    pythons = {OLD: before, AGAIN: before, NEW: Path(sys.executable)}
    asked.work.mkdir(parents=True)
    weights: dict[str, str] = {}
    for number, (name, python) in enumerate(pythons.items()):
        weights[name] = last_answer(command(python, "learn", asked.small, asked.work / f"whole-{number}"))
    tables: dict[str, list[Row]] = {}
    for size in asked.sizes:
        commands: dict[str, Sequence[str]] = {
            name: command(python, "contend", asked.shards, asked.work / f"{size}-{number}", size)
            for number, (name, python) in enumerate(pythons.items())
        }
        rows = contest(commands, asked.repeats, asked.seconds)
        tables[f"{size} px"] = [row | {"weights": weights[str(row["contender"])]} for row in rows]
    benchmark.write(tables)


if __name__ == "__main__":
    main()
