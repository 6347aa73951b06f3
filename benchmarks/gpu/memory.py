"""Measures the peak memory of both pools by the size of a group, while the pipeline runs."""

import torch

from benchmarks.gpu.lines import LEFT_OUT
from benchmarks.gpu.setting import Rows, Setting, memory_columns, train_on
from benchmarks.harness.tables import Row
from headrace.shards.errors import HeadraceError
from headrace.train.machine.place import Place
from headrace.train.run.assemble import build_feed
from headrace.train.run.resolve import Setup

_SECONDS = 30  # for each row


def run(setting: Setting) -> Rows:
    """A row for each decoder and size of a group, in ascending order."""
    for decode in setting.decoders:
        for group in (4, 8) if setting.dry else (256, 512, 1024, 2048):
            row: Row = {"decode": decode, "group": group}
            if not setting.has_time(_SECONDS):
                yield LEFT_OUT, row
                continue
            shape = [f"runtime.decode={decode}", f"train.global_batch={group}", f"train.group={group}"]
            setup = setting.setup(*shape)
            try:
                yield "peak memory", {**row, "fits": True, **_of_group(setting, setup, group)}
            except (torch.OutOfMemoryError, HeadraceError) as error:  # the latter is DALI's
                yield "peak memory", {**row, "fits": False, "note": str(error).splitlines()[0]}
                break


def _of_group(setting: Setting, setup: Setup, group: int) -> Row:
    place, step = setting.step(setup)
    place.accelerator.release()
    step.warm_up(setting.resident(step, group, setting.size), 1)
    place.accelerator.synchronize()
    first = place.accelerator.memory()
    place.accelerator.release()  # in the first pass cuDNN tries its plans, with the largest workspaces that it can get
    with build_feed(setup, Place(place.world, place.accelerator, place.threads), 0) as feed:
        train_on(step, feed, 3)
        place.accelerator.synchronize()
        tried = round(first.peak / 2**30, 2) if first else "-"
        return {**memory_columns(place.accelerator), "while kernels were chosen, GiB": tried}
