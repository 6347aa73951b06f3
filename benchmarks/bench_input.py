"""How fast the input pipeline is, side by side with other ways to read the same shards.

    python benchmarks/bench_input.py SHARDS [--repeats 5] [--sizes 64 224] [--seconds 4]

All contenders do one task on the CPU: read, decode, random resized crop, flip, resize, and hand over float32 images
normalised for the network, 256 a batch, as fast as they can. Each runs in a process of its own, one after another in
every repetition; the first batches are not counted. CPU time is that of the process and its workers.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from common import facts, interleaved, rows, write

BATCH, WARM_UP = 256, 4
AREA, RATIO = (0.35, 1.0), (3 / 4, 4 / 3)
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
THREADS = len(os.sched_getaffinity(0))


def headrace(shards: Path, size: int) -> Iterator[int]:
    """The product's own feed, thread, queue and normalisation."""
    import numpy as np
    import torch

    from shards.order import Order, Steps
    from shards.shardset import ShardSet
    from train.accelerator import Accelerator
    from train.augment import Crop
    from train.batch import TrainPlans
    from train.feed import Feed
    from train.model import Normalisation
    from train.normalise import Normalise
    from train.pipeline import ImagePipeline

    torch.set_num_threads(1)
    split = ShardSet.open(shards).split("train")
    steps = Steps(len(split), BATCH, BATCH)
    plans = TrainPlans(split, Order(len(split), 0), steps, Crop(AREA, RATIO, 0.5), ((0, size),), np.zeros(1))
    accelerator = Accelerator(None)
    normalise = Normalise(Normalisation(MEAN, STD), accelerator)
    pipeline = ImagePipeline(split, BATCH, accelerator, threads=THREADS, decode="cpu")
    with Feed(pipeline, plans.stream(0, 1_000_000, range(1)), accelerator) as feed:
        for batch in feed:
            yield len(normalise(batch.images))


def dali_reader(shards: Path, size: int) -> Iterator[int]:
    """DALI's own webdataset reader with its random operators; decode and crop apart, as is faster for small images."""
    from nvidia.dali import fn, pipeline_def, types
    from nvidia.dali.plugin.pytorch import DALIGenericIterator

    tars = sorted(map(str, shards.glob("train-*.tar")))

    @pipeline_def(batch_size=BATCH, num_threads=THREADS, device_id=None, prefetch_queue_depth=2, seed=1)
    def graph() -> Any:
        jpegs = fn.readers.webdataset(
            paths=tars,
            index_paths=[tar.removesuffix("tar") + "idx" for tar in tars],
            ext=["jpg"],
            missing_component_behavior="error",
            random_shuffle=True,
            initial_fill=4096,
            name="reader",
        )
        images = fn.decoders.image(jpegs, output_type=types.RGB)
        images = fn.random_resized_crop(images, size=size, random_area=AREA, random_aspect_ratio=RATIO)
        return fn.crop_mirror_normalize(
            images, dtype=types.FLOAT, output_layout="HWC", mirror=fn.random.coin_flip(), mean=MEAN, std=STD
        )

    iterator = DALIGenericIterator([graph()], ["images"], reader_name="reader", auto_reset=True)
    while True:
        for (batch,) in iterator:
            yield len(batch["images"])


def pil_transform(size: int) -> Callable[[bytes], Any]:
    """Torchvision's RandomResizedCrop, flip and normalisation, written on Pillow and numpy as torchvision does it."""
    import io
    import math
    import random

    import numpy as np
    import torch
    from PIL import Image

    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)

    def transform(data: bytes) -> Any:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        width, height = image.size
        for _ in range(10):
            area = width * height * random.uniform(*AREA)
            ratio = math.exp(random.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                break
        x, y = random.randint(0, width - w), random.randint(0, height - h)
        image = image.crop((x, y, x + w, y + h)).resize((size, size), Image.Resampling.BILINEAR)
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
        return pixels.sub_(mean).div_(std)

    return transform


class Samples:
    """A map-style data set over our own reader, for torch's DataLoader with Pillow."""

    def __init__(self, shards: Path, size: int) -> None:
        from shards.shardset import ShardSet

        self._split = ShardSet.open(shards).split("train")
        self._size = size
        self._transform: Callable[[bytes], Any] | None = None

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> Any:
        import numpy as np

        self._transform = self._transform or pil_transform(self._size)
        return self._transform(self._split.jpegs(np.array([index]))[0].tobytes())


def dataloader(shards: Path, size: int) -> Iterator[int]:
    """Torch's DataLoader with a worker for each core."""
    from torch.utils.data import DataLoader

    loader = DataLoader(Samples(shards, size), BATCH, shuffle=True, num_workers=THREADS, drop_last=True)  # type: ignore[arg-type]
    while True:
        for batch in loader:
            yield len(batch)


def webdataset(shards: Path, size: int) -> Iterator[int]:
    """The webdataset library with Pillow, a worker for each core."""
    import webdataset as wds
    from torch.utils.data import DataLoader

    transform = pil_transform(size)
    tars = sorted(map(str, shards.glob("train-*.tar")))
    source = wds.WebDataset(tars, shardshuffle=len(tars)).shuffle(1000).to_tuple("jpg").map_tuple(transform)
    loader = DataLoader(source.batched(BATCH, partial=False), batch_size=None, num_workers=THREADS)
    while True:
        for (batch,) in loader:
            yield len(batch)


def decode_only(shards: Path, size: int) -> Iterator[int]:
    """The floor: libjpeg-turbo decodes the same bytes in one thread, and nothing else happens."""
    import numpy as np
    import simplejpeg

    from shards.shardset import ShardSet

    del size
    split = ShardSet.open(shards).split("train")
    held = [jpeg.tobytes() for jpeg in split.jpegs(np.arange(min(len(split), 40 * BATCH)))]
    while True:
        for first in range(0, len(held), BATCH):
            for jpeg in held[first : first + BATCH]:
                simplejpeg.decode_jpeg(jpeg)
            yield len(held[first : first + BATCH])


CONTENDERS: dict[str, Callable[[Path, int], Iterator[int]]] = {
    "headrace": headrace,
    "dali-reader": dali_reader,
    "dataloader-pillow": dataloader,
    "webdataset-pillow": webdataset,
    "floor-decode-only-one-thread": decode_only,
}


def cpu_seconds() -> float:
    """CPU time of this process and of its children that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def children_seconds() -> float:
    """CPU time of the living worker processes."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[1]) == os.getpid():
            ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(name: str, shards: Path, size: int, seconds: float) -> dict[str, float]:
    """Run one contender for some seconds after its warm-up."""
    batches = CONTENDERS[name](shards, size)
    for _ in range(WARM_UP):
        next(batches)
    began, cpu, images = time.perf_counter(), cpu_seconds() + children_seconds(), 0
    while time.perf_counter() - began < seconds:
        images += next(batches)
    wall, cpu = time.perf_counter() - began, cpu_seconds() + children_seconds() - cpu
    return {"images_per_second": images / wall, "cpu_microseconds": 1e6 * cpu / images}


def main() -> None:
    """Run one contender, or all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shards", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 224])
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--contender", choices=CONTENDERS)
    asked = parser.parse_args()
    if asked.contender:
        print(json.dumps(measure(asked.contender, asked.shards, asked.sizes[0], asked.seconds)))
        os._exit(0)  # workers and pipelines may be in the middle of a batch
    command = f"python benchmarks/bench_input.py SHARDS --repeats {asked.repeats} --seconds {asked.seconds:g} --sizes "
    command += " ".join(map(str, asked.sizes))
    about = facts(command, data="TinyImageNet's training split", batch=BATCH, threads=THREADS)
    tables = {}
    for size in asked.sizes:
        given = (asked.shards, "--sizes", size, "--seconds", asked.seconds)
        tables[f"{size} px"] = rows(interleaved(__file__, list(CONTENDERS), asked.repeats, *given), "dali-reader")
    print(write("input", "The input pipeline beside others", about, (__doc__ or "").split("\n\n", 2)[2], tables))


if __name__ == "__main__":
    main()
