"""How far our pixels are from torchvision's, operation by operation, and what that does to a checkpoint's accuracy.

    python benchmarks/parity.py SHARDS [--images 500] [--checkpoint RUN/best.pt] [--seed 0]

The same images, boxes and parameters go through the product and through Pillow, called as torchvision calls it
(`pil_ops.py`); where torchvision itself is installed, through its own functions too. Differences are absolute, in grey
levels of 0 to 255, over all pixels and channels. Decoding, resizing and the whole path begin at the JPEG; every
operator after the resize begins at one and the same resized image. With `--checkpoint` the validation split is
evaluated twice in fp32, once from either side's images.

Where a difference is expected: torch's resize of uint8 rounds after each of its two passes as Pillow's does, with
other weights in the last bit. The rows `on a GPU` are DALI's graph for GPUs, run on a CPU: its resize rounds once, and
beyond the edge of an image that becomes smaller it repeats the last pixel, where torch and Pillow leave pixels out.
"""

import argparse
import io
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from common import facts, write
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pil_ops import changed as changed_by_pillow
from pil_ops import for_evaluation, resized
from torchvision_ops import reference, trivial_augment

from headrace.shards.errors import HeadraceError
from headrace.shards.shardset import ShardSet, Split
from headrace.train.input.augment.affine import Affine
from headrace.train.input.augment.erasing import Erasing
from headrace.train.input.augment.jitter import Jitter
from headrace.train.input.augment.operation import Change
from headrace.train.input.augment.operators import changed
from headrace.train.input.augment.policy import Policy, draw_changes
from headrace.train.input.augment.views import Crop, Samples, Views, centre_views, train_views
from headrace.train.input.decode import dali
from headrace.train.input.decode.pipeline import ImagePipeline
from headrace.train.input.decode.regions import seen
from headrace.train.input.decode.wanted import Wanted
from headrace.train.input.plans import Plan
from headrace.train.machine.device import Accelerator

Pixels = NDArray[np.uint8]
Row = dict[str, Any]
BATCH, SIZE = 100, 64
PART = 1000  # validation images in memory at a time
MEAN = (124, 116, 104)
CROP = Crop((0.08, 1.0), (3 / 4, 4 / 3), 0.5)
CPU = Accelerator(None)

POLICIES = {
    "brightness 0.4": Policy(jitter=Jitter(brightness=0.4)),
    "contrast 0.4": Policy(jitter=Jitter(contrast=0.4)),
    "saturation 0.4": Policy(jitter=Jitter(saturation=0.4)),
    "hue 0.1": Policy(jitter=Jitter(hue=0.1)),
    "all four, in drawn order": Policy(jitter=Jitter(0.4, 0.4, 0.4, 0.1)),
    "affine: rotate 30, shear 10, translate 0.1, scale 0.8 to 1.2": Policy(Affine(30, 10, 0.1, (0.8, 1.2))),
    "erase 1.0": Policy(erasing=Erasing(1.0, colour=MEAN)),
    "TrivialAugment": Policy(trivial=True),
}
EVERYTHING = Policy(
    Affine(30, 10, 0.1, (0.8, 1.2)), Jitter(0.4, 0.4, 0.4, 0.1), trivial=True, erasing=Erasing(0.5, colour=MEAN)
)


class Side:
    """Some samples of a split, as we and as Pillow see them."""

    def __init__(self, split: Split, ids: NDArray[np.int64]) -> None:
        self.ids, self._split = ids, split
        self.samples = Samples(np.zeros(len(ids), np.int64), ids, split.widths[ids], split.heights[ids])
        self.decoded = [opened(jpeg) for jpeg in split.jpegs(ids)]
        self._pipeline = ImagePipeline(split, BATCH, CPU, threads=1, decode="cpu")

    def ours(self, views: Views, size: int, changes: tuple[Change, ...] = ()) -> Pixels:
        """The product's images: decoded and resized by the pipeline, then changed."""
        images = [images.numpy().copy() for _, images in self._pipeline.run(self._plans(views, size))]
        return changed(CPU.upload(np.concatenate(images)), changes, CPU).numpy()

    def on_a_gpu(self, views: Views, size: int) -> Pixels:
        """The images of the graph that GPUs run, here on the CPU."""
        regions = seen(views, self.samples.heights, self.samples.widths)
        inputs = (list(map(np.asarray, self.decoded)), *dali.arguments(views, regions, size))
        graph = dali.viewing(lambda: inputs, len(self.ids), 1, device=None, decode=None)
        return np.array(graph.run()[0].as_tensor())

    def _plans(self, views: Views, size: int) -> Iterator[Plan]:
        for first in range(0, len(self.ids), BATCH):
            some = slice(first, first + BATCH)
            nothing = np.zeros(len(self.ids[some]), np.int64)
            part = views.only(some)
            yield Plan(0, 0, nothing, nothing, Wanted(self.ids[some], part, size))

    def pillows(self, prepare: Callable[[Image.Image, int], Image.Image]) -> Pixels:
        """Pillow's images, each prepared from the decoded image and its row."""
        return np.stack([np.asarray(prepare(image, row)) for row, image in enumerate(self.decoded)])

    def pillows_crops(self, views: Views, size: int) -> Pixels:
        """The same views by Pillow."""

        def crop(image: Image.Image, row: int) -> Image.Image:
            (top, one), (bottom, other) = views.start[row].tolist(), views.end[row].tolist()
            return resized(image, (min(one, other), top, max(one, other), bottom), size, mirror=one > other)

        return self.pillows(crop)


def opened(jpeg: Pixels) -> Image.Image:
    """A JPEG as Pillow decodes it, upright."""
    return ImageOps.exif_transpose(Image.open(io.BytesIO(jpeg.tobytes()))).convert("RGB")


def compared(operation: str, ours: Pixels, theirs: Pixels) -> Row:
    """A line of the result."""
    off = np.abs(ours.astype(np.int16) - theirs)
    return {
        "operation": operation,
        "images": len(ours),
        "mean": round(float(off.mean()), 4),
        "max": int(off.max()),
        "off by more than 1, %": round(100 * float((off > 1).mean()), 3),
    }


def resizing(side: Side) -> Iterator[Row]:
    """Decoding, the evaluation transform, the training crop."""
    widths, heights = side.samples.widths, side.samples.heights
    length = int(widths[0])
    if (widths == length).all() and (heights == length).all():
        whole = side.ours(centre_views(1.0, length, widths, heights), length)
        yield compared(f"decode ({length} px)", whole, side.pillows(lambda image, _: image))
    for short, size in ((64, 64), (32, 32), (72, 64), (73, 64), (160, 160), (256, 224)):
        views = centre_views(size / short, size, widths, heights)
        theirs = side.pillows(lambda image, _, to=(short, size): for_evaluation(image, *to))  # type: ignore[misc]
        yield from on_both(f"evaluation: Resize({short}), CenterCrop({size})", side, views, size, theirs)
    for name, flip in (("", 0.0), (" and flip", 1.0)):
        for size in (32, 64, 224):
            views = train_views(CROP._replace(flip=flip), 0, side.samples)
            theirs = side.pillows_crops(views, size)
            yield from on_both(f"random resized crop{name} ({size} px)", side, views, size, theirs)


def on_both(operation: str, side: Side, views: Views, size: int, theirs: Pixels) -> Iterator[Row]:
    """Two lines: what a CPU shows, and what a GPU does."""
    yield compared(operation, side.ours(views, size), theirs)
    yield compared(f"{operation}, on a GPU", side.on_a_gpu(views, size), theirs)


def operators(side: Side, seed: int) -> Iterator[Row]:
    """Every part of a policy, from the same resized images on both sides."""
    images = side.ours(train_views(CROP, seed, side.samples), SIZE)
    for name, policy in POLICIES.items():
        changes = draw_changes(policy, seed, side.samples, SIZE)
        ours = changed(CPU.upload(images), changes, CPU).numpy()
        yield compared(name, ours, changed_by_pillow(images, changes))


def whole_path(side: Side, seed: int) -> Iterator[Row]:
    """From the JPEG through crop, flip and every change."""
    views = train_views(CROP, seed, side.samples)
    for name, policy in (("crop and flip alone", Policy()), *POLICIES.items(), ("everything", EVERYTHING)):
        changes = draw_changes(policy, seed, side.samples, SIZE)
        theirs = changed_by_pillow(side.pillows_crops(views, SIZE), changes)
        yield compared(name, side.ours(views, SIZE, changes), theirs)


def accuracies(path: Path, shards: ShardSet) -> Iterator[Row]:
    """Top-1 of a checkpoint on the validation split, from either side's images, and how often they disagree."""
    import torch

    from headrace.train.checkpoint import files
    from headrace.train.checkpoint.fields import Checkpoint
    from headrace.train.checkpoint.resume import refuse_other_classes
    from headrace.train.input.normalise import Normalise
    from headrace.train.model.build import build_model

    saved = Checkpoint.of(files.load(path))
    refuse_other_classes(saved, shards)
    recipe, split = saved.recipe, shards.split("val")
    built = build_model(recipe.model.name, len(shards.class_ids), init="random", weights=None, seed=0)
    built.network.load_state_dict(saved.average or saved.model)
    CPU.place(built.network.eval(), torch.float32)
    normalise, size, fraction = Normalise(*built.normalisation, CPU), recipe.evaluate.size, recipe.evaluate.crop
    found: dict[str, list[NDArray[np.int64]]] = {"headrace": [], "Pillow": []}
    for first in range(0, len(split), PART):
        side = Side(split, np.arange(first, min(first + PART, len(split))))
        views = centre_views(fraction, size, side.samples.widths, side.samples.heights)
        theirs = side.pillows(lambda image, _: for_evaluation(image, round(size / fraction), size))
        for name, images in (("headrace", side.ours(views, size)), ("Pillow", theirs)):
            with torch.no_grad():
                for batch in np.array_split(images, range(BATCH, len(images), BATCH)):
                    found[name].append(built.network(normalise(CPU.upload(batch))).argmax(1).numpy())
    both = {name: np.concatenate(parts) for name, parts in found.items()}
    disagree = int((both["headrace"] != both["Pillow"]).sum())
    for name, predicted in both.items():
        correct = int((predicted == split.labels).sum())
        yield {
            "images from": name,
            "correct": correct,
            "of": len(split),
            "top-1, %": round(100 * correct / len(split), 2),
            "other class than on the other side": disagree,
        }


def main() -> None:
    """Compare and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shards", type=Path, help="a shard set")
    parser.add_argument("--images", type=int, default=500, help="training images, evenly spread over the split")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint whose accuracy is taken both ways")
    parser.add_argument("--seed", type=int, default=0, help="of crops and changes")
    asked = parser.parse_args()
    try:
        shards = ShardSet.open(asked.shards)
        tables = measured(shards, asked.images, asked.seed, asked.checkpoint)
    except HeadraceError as error:
        parser.exit(error.exit_code, f"{error}\n")
    command = f"python benchmarks/parity.py SHARDS --images {asked.images} --seed {asked.seed}"
    command += " --checkpoint CHECKPOINT" if asked.checkpoint else ""
    about = facts(command, **{"shard set": shards.digest[:16], "reference": reference()})
    print(write("parity", "Our pixels beside torchvision's", about, (__doc__ or "").split("\n\n", 2)[2], tables))


def measured(shards: ShardSet, images: int, seed: int, checkpoint: Path | None) -> dict[str, list[Row]]:
    """All tables."""
    split = shards.split("train")
    side = Side(split, np.unique(np.linspace(0, len(split) - 1, images).astype(np.int64)))
    tables = {
        "Decoding and resizing": list(resizing(side)),
        f"After the resize, from the same {SIZE} px images": list(operators(side, seed)),
        f"From the JPEG to the step, {SIZE} px": list(whole_path(side, seed)),
    }
    if find_spec("torchvision"):
        given = side.ours(train_views(CROP, seed, side.samples), SIZE)
        rows = trivial_augment(given, side.samples, seed)
        tables["TrivialAugment against torchvision's own functions"] = [compared(*row) for row in rows]
    if checkpoint:
        tables["One checkpoint on the validation split"] = list(accuracies(checkpoint, shards))
    return tables


if __name__ == "__main__":
    main()
