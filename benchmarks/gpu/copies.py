"""Compares copying images out of DALI on a stream of Headrace, as the product does, with sharing tensors by DLPack.

DALI releases a shared tensor with a cudaDeviceSynchronize in a thread of its own. Whole updates on real batches show
whether that slows the step down, and which threads take CPU time.
"""

import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

from torch.utils.dlpack import from_dlpack

from benchmarks.gpu.lines import LEFT_OUT
from benchmarks.gpu.setting import Rows, Setting, train_on
from benchmarks.harness.tables import Row
from headrace.train.input.decode import dali
from headrace.train.run.assemble import build_feed

_SECONDS = 60  # for each way
_STEPS = 200  # enough steps for the few batches that are ready at the start to make no difference
_BUSY = 0.05  # share of a core; threads that use less are not listed
_TICKS = os.sysconf("SC_CLK_TCK")


def run(setting: Setting) -> Rows:
    """A row for each way, twice in turns."""
    for turn in range(1 if setting.dry else 2):
        for way in ("copied on a stream", "shared by DLPack"):
            if not setting.has_time(_SECONDS):
                yield LEFT_OUT, {"way": way, "turn": turn}
                continue
            with mock.patch.object(dali, "copy", _shared) if way == "shared by DLPack" else nullcontext():
                yield "images out of DALI", {"way": way, "turn": turn, **_measured(setting)}


def _shared(images: Any, made: Any, _: object) -> None:
    made.copy_(from_dlpack(images))


def _measured(setting: Setting) -> Row:
    setup = setting.setup()
    place, step = setting.step(setup)
    steps = 1 if setting.dry else _STEPS
    with build_feed(setup, place, 0) as feed:
        train_on(step, feed, 1 if setting.dry else 20)
        place.accelerator.synchronize()
        before, waited, began = thread_seconds(), feed.stalled, time.perf_counter()
        images = train_on(step, feed, steps)
        place.accelerator.synchronize()
        seconds, after = time.perf_counter() - began, thread_seconds()
    busy = sorted(((after[one] - before.get(one, 0.0), one[1]) for one in after), reverse=True)
    return {
        "images/s": round(images / seconds, 1),
        "waited for images, %": round(100 * (feed.stalled - waited) / seconds, 2),
        "cores": round(sum(taken for taken, _ in busy) / seconds, 2),
        "threads": ", ".join(f"{name} {taken / seconds:.2f}" for taken, name in busy if taken > _BUSY * seconds),
    }


def thread_seconds() -> dict[tuple[int, str], float]:
    """The CPU seconds of each thread of this process, by its number and name."""
    found = {}
    for folder in Path("/proc/self/task").iterdir():
        try:
            head, _, fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
        except OSError:  # it ended meanwhile
            continue
        user, system = fields.split()[11:13]
        found[int(folder.name), head.partition("(")[2]] = (int(user) + int(system)) / _TICKS
    return found
