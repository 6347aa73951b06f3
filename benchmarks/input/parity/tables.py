"""Tables with the differences of pixels, operation by operation."""

from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np

from benchmarks.harness.tables import Row
from benchmarks.input.parity.pillow import Pixels, changed_by_pillow, for_evaluation
from benchmarks.input.parity.side import CPU, Side
from benchmarks.input.parity.torchvision import trivial_augment
from headrace.shards.shardset import ShardSet
from headrace.train.input.augment.affine import Affine
from headrace.train.input.augment.erasing import Erasing
from headrace.train.input.augment.jitter import Jitter
from headrace.train.input.augment.operators import changed
from headrace.train.input.augment.policy import Policy, draw_changes
from headrace.train.input.augment.views import Crop, Views, centre_views, train_views

SIZE = 64
MEAN = (124, 116, 104)
CROP = Crop((0.08, 1.0), (3 / 4, 4 / 3), 0.5)

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


def pixel_tables(shards: ShardSet, images: int, seed: int) -> dict[str, list[Row]]:
    """All tables, from this many training images, evenly spread over the split."""
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
    return tables


def compared(operation: str, ours: Pixels, theirs: Pixels) -> Row:
    """A row that compares the images of both sides after an operation."""
    off = np.abs(ours.astype(np.int16) - theirs)
    return {
        "operation": operation,
        "images": len(ours),
        "mean": round(float(off.mean()), 4),
        "max": int(off.max()),
        "off by more than 1, %": round(100 * float((off > 1).mean()), 3),
    }


def resizing(side: Side) -> Iterator[Row]:
    """Rows about decoding, the evaluation transform and the training crop."""
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
    """Two rows, with the images of a CPU and of the graph for GPUs."""
    yield compared(operation, side.ours(views, size), theirs)
    yield compared(f"{operation}, on a GPU", side.on_a_gpu(views, size), theirs)


def operators(side: Side, seed: int) -> Iterator[Row]:
    """A row for each part of a policy, from the same resized images on both sides."""
    images = side.ours(train_views(CROP, seed, side.samples), SIZE)
    for name, policy in POLICIES.items():
        changes = draw_changes(policy, seed, side.samples, SIZE)
        ours = changed(CPU.upload(images), changes, CPU).numpy()
        yield compared(name, ours, changed_by_pillow(images, changes))


def whole_path(side: Side, seed: int) -> Iterator[Row]:
    """Rows about the whole path, from the JPEG through crop, flip and every change."""
    views = train_views(CROP, seed, side.samples)
    for name, policy in (("crop and flip alone", Policy()), *POLICIES.items(), ("everything", EVERYTHING)):
        changes = draw_changes(policy, seed, side.samples, SIZE)
        theirs = changed_by_pillow(side.pillows_crops(views, SIZE), changes)
        yield compared(name, side.ours(views, SIZE, changes), theirs)
