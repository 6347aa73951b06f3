"""Splits for tests of the pipeline: the shared one, and small ones of given JPEGs."""

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.shards.order import Order, Steps
from headrace.shards.shardset import Places, ShardSet, Split
from headrace.train.input.augment.policy import Policy
from headrace.train.input.augment.views import Crop
from headrace.train.input.decode.pipeline import ImagePipeline
from headrace.train.input.feed import Feed
from headrace.train.input.plans import Plan, TrainPlans, ValidationPlans
from headrace.train.machine.device import Accelerator

CPU = Accelerator(None)
NOTHING = Policy()
Pixels = NDArray[np.uint8]


def pipeline(split: Split, *, batch: int = 16, threads: int = 1) -> ImagePipeline[Plan]:
    """Return a pipeline on the CPU."""
    return ImagePipeline(split, batch, CPU, threads=threads, decode="cpu")


def training(
    split: Split, *, batch: int = 48, group: int = 16, flip: float = 0.5, size: int = 64, policy: Policy = NOTHING
) -> TrainPlans:
    """Return plans of a training run over the split."""
    return TrainPlans(
        split=split,
        order=Order(len(split), 5),
        steps=Steps(len(split), batch, group),
        crop=Crop((0.35, 1.0), (3 / 4, 4 / 3), flip),
        sizes=((0, size),),
        policy=policy,
    )


def by_sample(pipe: ImagePipeline[Plan], plans: Iterator[Plan]) -> dict[tuple[int, int], Pixels]:
    """Return the image of each (epoch, id)."""
    found: dict[tuple[int, int], Pixels] = {}
    for plan, images in pipe.run(plans):
        for epoch, one, image in zip(plan.epochs.tolist(), plan.ids.tolist(), images.numpy(), strict=True):
            found[epoch, one] = image.copy()
    return found


def fed(pipe: ImagePipeline[Plan], plans: Iterator[Plan]) -> dict[tuple[int, int], Pixels]:
    """Return the image of each (epoch, id) as the step gets it, with all changes."""
    found: dict[tuple[int, int], Pixels] = {}
    with Feed(pipe, plans, CPU) as feed:
        for batch in feed:
            of = zip(batch.plan.epochs.tolist(), batch.plan.ids.tolist(), batch.images.numpy(), strict=True)
            found |= {(epoch, one): image.copy() for epoch, one, image in of}
    return found


def evaluated(split: Split, *, size: int, fraction: float, threads: int = 1) -> Pixels:
    """Return all images of a split as evaluation sees them, (n, size, size, 3)."""
    plans = ValidationPlans(split, 16, fraction, size)
    images = [
        images.numpy().copy() for _, images in pipeline(split, threads=threads).run(plans.stream(range(len(plans))))
    ]
    return np.concatenate(images)


def split_of(jpegs: list[bytes], folder: Path) -> Split:
    """Return the training split of a set that prep makes from these files; `order` of `jpegs` is in the sources."""
    source = folder / "source.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("wnids.txt", "n01\n")
        archive.writestr("words.txt", "n01\tthing\n")
        archive.writestr("val/val_annotations.txt", "0.JPEG\tn01\t0\t0\t1\t1\n")
        archive.writestr("val/images/0.JPEG", jpegs[0])
        for number, jpeg in enumerate(jpegs):
            archive.writestr(f"train/n01/images/n01_{number}.JPEG", jpeg)
    prep(source, folder / "set", Options(), workers=1, if_exists="error", say=lambda _: None)
    return ShardSet.open(folder / "set").split("train")


def opened(jpeg: Pixels) -> Image.Image:
    """Return a JPEG of a split as PIL reads it."""
    return Image.open(io.BytesIO(jpeg.tobytes())).convert("RGB")


def picture(width: int, height: int, **options: Any) -> bytes:
    """Return a smooth JPEG without any symmetry."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    colours = 250 * np.stack([x, y, (x + 2 * y) / 3 * (1 - x)], -1) + 3 * np.sin(9 * x + 4 * y)[..., None]
    out = io.BytesIO()
    Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=95, **options)
    return out.getvalue()


def exif(orientation: int) -> Image.Exif:
    """Return EXIF data with the orientation of the picture."""
    data = Image.Exif()
    data[0x0112] = orientation
    return data


def spoiled(split: Split, sample: int, spoil: Callable[[Pixels], Pixels], folder: Path) -> None:
    """Make the split return other bytes, from a file, for one sample, as if prep had admitted them."""
    path = folder / "spoiled.jpg"
    path.write_bytes(spoil(split.jpegs(np.array([sample]))[0]).tobytes())
    spoiled_file, sound = path.open("rb"), split.places

    def places(ids: NDArray[np.int64]) -> Places:
        found, data = sound(ids), path.read_bytes()
        columns: tuple[NDArray[Any], ...] = found[:4]
        for column, value in zip(columns, (spoiled_file.fileno(), 0, len(data), crc32(data)), strict=True):
            column[ids == sample] = value
        return found

    split.places = places  # type: ignore[method-assign]
