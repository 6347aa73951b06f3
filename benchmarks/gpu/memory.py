"""Peak memory of both pools by the size of a group, with the pipeline running."""

import torch

from benchmarks.gpu.setting import Setting, memory_columns, train_on
from benchmarks.harness.tables import Row
from headrace.train.machine.place import Place
from headrace.train.run.assemble import build_feed


def run(setting: Setting) -> dict[str, list[Row]]:
    """A row a decoder and group, in growing order."""
    return {"peak memory": [row for decode in setting.decoders for row in _of_decoder(setting, decode)]}


def _of_decoder(setting: Setting, decode: str) -> list[Row]:
    rows: list[Row] = []
    for group in (4, 8) if setting.dry else (64, 128, 256, 512, 1024, 2048):
        row: Row = {"decode": decode, "group": group}
        try:
            rows.append({**row, "fits": True, **_of_group(setting, decode, group)})
        except torch.OutOfMemoryError:
            rows.append({**row, "fits": False})
            break
    return rows


def _of_group(setting: Setting, decode: str, group: int) -> Row:
    shape = [f"runtime.decode={decode}", f"train.global_batch={group}", f"train.group={group}"]
    setup = setting.setup(*shape)
    place, step = setting.step(setup)
    place.accelerator.release()
    with build_feed(setup, Place(place.world, place.accelerator, place.threads), 0) as feed:
        train_on(step, feed, 3)
        place.accelerator.synchronize()
        return memory_columns(place.accelerator)
