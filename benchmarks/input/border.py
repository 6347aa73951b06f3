"""Finds the image size up to which libjpeg-turbo, which decodes whole images, is faster on a CPU than DALI with crops.

    python -m benchmarks.input.border SHARDS [--sides 32 64 96 128 160 192 224 256] [--repeats 7] [--seconds 1]

SHARDS has photographs. The central square of each is shrunk to every side and stored as a JPEG, 4:2:0, of quality 90.
`headrace prep` makes shard sets of these JPEGs in a temporary folder. Batches of 256 go through all lanes of the
product's pipeline and are resized to 64 pixels, once with the border between the decoders (train/input/decode/turbo.py)
above the size of all images, and once below it. Views are RandomResizedCrop with an area from 0.08 or from 0.35 to 1,
or whole images. Each contender is a process of its own, which is stopped while the other one is measured. Both give the
same pixels.
"""

import io
import tempfile
import time
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.processes import Run, child
from benchmarks.harness.tables import Row, ratios, spread
from benchmarks.harness.turns import ContenderError, contend, contest
from benchmarks.input.contenders.task import BATCH, DATA, FLIP, RATIO, THREADS, jpegs, split

SIZE = 64  # pixels; the side to which all views are resized
COUNT = 8 * BATCH  # images in a set
TURBO, DALI = CONTENDERS = {"libjpeg-turbo": 1 << 40, "DALI": 0}  # largest images that libjpeg-turbo decodes, in pixels
WHOLE = 0.0
VIEWS = {"crops of 0.08 to 1 of the area": 0.08, "crops of 0.35 to 1 of the area": 0.35, "whole images": WHOLE}


def make_smaller(shards: Path, folder: Path, side: int) -> Path:
    """Make a shard set of the same photographs, shrunk to squares of `side` pixels; return its folder."""
    from PIL import Image

    from headrace.prep.command.options import Options
    from headrace.prep.convert import prep

    tree = folder / f"tree-{side}"
    for name in ("train", "val"):
        (tree / name / "all").mkdir(parents=True)
    held = [data for data, _ in jpegs(shards, COUNT)]
    for number in range(COUNT):
        with Image.open(io.BytesIO(held[number % len(held)])) as image:
            short, place = min(image.size), tree / ("train" if number else "val") / "all" / f"{number}.jpg"
            left, top = ((whole - short) / 2 for whole in image.size)
            box = (left, top, left + short, top + short)
            small = image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC, box, reducing_gap=2)
            small.save(place, quality=90)
    prep(tree, folder / f"set-{side}", Options(), workers=1, if_exists="error", say=lambda _: None)
    return folder / f"set-{side}"


def offer(name: str, shards: str, area: float) -> None:
    """Send batches through the pipeline in this contender's turns."""
    import torch

    from headrace.shards.order import Order, Steps
    from headrace.train.input.assembly import Input
    from headrace.train.input.augment.views import Crop
    from headrace.train.input.decode import turbo
    from headrace.train.input.plans import TrainPlans, ValidationPlans
    from headrace.train.machine.device import Accelerator
    from headrace.train.machine.place import Place
    from headrace.train.machine.world import World
    from headrace.train.run.process import keep_freed_memory

    torch.set_num_threads(1)
    keep_freed_memory()
    mock.patch.object(turbo, "MOST_PIXELS", CONTENDERS[name]).start()
    samples: Any = split(Path(shards))
    made = Input(samples, BATCH, Place(World(), Accelerator(None), THREADS))
    if area == WHOLE:
        evaluation = ValidationPlans(samples, BATCH, 1.0, SIZE)
        plans = evaluation.stream(cycle(range(len(samples) // BATCH)))  # type: ignore[arg-type]  # endless
    else:
        steps = Steps(len(samples), BATCH, BATCH)
        training = TrainPlans(samples, Order(len(samples), 0), steps, Crop((area, 1.0), RATIO, FLIP), ((0, SIZE),))
        plans = training.stream(0, 1_000_000, range(1))
    batches = made.images(plans)

    def step() -> int:
        return len(next(batches)[1])

    for _ in range(4 * THREADS):
        step()
    contend(step, time.time(), 4)


def row_of(side: int, runs: dict[str, list[Run]]) -> Row:
    """The row of both contenders for images with this side."""
    row: Row = {"side": side, "pixels": side * side, "n": len(runs[DALI])}
    for name, own in runs.items():
        row[f"CPU microseconds, {name}"] = round(median(run["cpu_microseconds"] for run in own), 1)
    return {**row, **spread("rate of libjpeg-turbo to DALI", list(ratios(runs[TURBO], runs[DALI])), 3)}


def main() -> None:
    """Measure both contenders at all sides, for all views."""
    benchmark = Benchmark(__file__, __doc__, "input-border", "Which decoder on a CPU, by the size of the images")
    benchmark.add("shards", type=path, help="a shard set of photographs larger than the sides")
    sides = [32, 64, 96, 128, 160, 192, 224, 256]
    benchmark.add("--sides", type=int, nargs="+", default=sides, help="sides of the images, pixels")
    benchmark.share(repeats=7, seconds=1.0)
    asked = benchmark.parse(data=DATA, batch=BATCH, threads=THREADS)
    tables: dict[str, list[Row]] = {view: [] for view in VIEWS}
    with tempfile.TemporaryDirectory(prefix="headrace-border-") as folder:
        for side in asked.sides:
            shards, failed = make_smaller(asked.shards, Path(folder), side), dict[str, str]()
            for view, area in VIEWS.items():
                commands = {name: child(__file__, "offer", name, shards, area) for name in CONTENDERS}
                runs, _ = contest(commands, asked.repeats, asked.seconds, failed)
                if failed:
                    benchmark.fail(ContenderError(str(failed)))
                tables[view].append(row_of(side, runs))
    benchmark.write(tables)


if __name__ == "__main__":
    main()
