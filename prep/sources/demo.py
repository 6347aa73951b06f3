"""Makes the demo data set: drawn images in TinyImageNet's layout, in a zip that is then read like any other source."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from headrace.prep.command.progress import Say
from headrace.prep.images import admit
from headrace.prep.images.drawing import CLASSES, draw
from headrace.shards import regular
from headrace.shards.remains import remove_remains
from headrace.shards.store import make_folder, replacing
from headrace.shards.targets import followed

TRAIN, VAL = 500, 100  # images per class
_VERSION = 1  # of the drawings
_ROOT = "headrace-demo"
_BATCH = 10  # images drawn at a time, which fit in a CPU cache
_DATE = (1980, 1, 1, 0, 0, 0)


def demo_source(out: Path, seed: int, *, say: Say, train: int | None = None, val: int | None = None) -> Path:
    """Return the path of a zip of drawn images beside `out`; make the zip if it does not exist.

    `train` and `val` limit the number of images of each class in the two splits; None means no limit.
    """
    train, val = min(train or TRAIN, TRAIN), min(val or VAL, VAL)
    out = followed(out)
    path = out.with_name(f"{out.name}.source.zip")
    about = f"headrace demo {_VERSION}, seed {seed}, {train}+{val} images a class".encode()
    remove_remains(path)
    if not _is_drawn(path, about):
        say(f"drawing {len(CLASSES) * (train + val):,} images of {len(CLASSES)} classes into {path}")
        make_folder(path.parent)
        with replacing(path) as stream, zipfile.ZipFile(stream, "w") as archive:
            archive.comment = about
            for name, data in _members(seed, train, val):
                archive.writestr(zipfile.ZipInfo(f"{_ROOT}/{name}", _DATE), data)
    return path


def _is_drawn(path: Path, about: bytes) -> bool:
    try:
        with regular.opened(path) as stream, zipfile.ZipFile(stream) as archive:
            return archive.comment == about
    except (OSError, zipfile.BadZipFile):
        return False


def _members(seed: int, train: int, val: int) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of each member of the zip, in order."""
    wnids = [f"n{90_000_000 + label}" for label in range(len(CLASSES))]
    names = [f"{colour} {texture} {shape}" for shape, texture, colour in CLASSES]
    yield "wnids.txt", "".join(f"{wnid}\n" for wnid in wnids).encode()
    yield "words.txt", "".join(f"{wnid}\t{name}\n" for wnid, name in zip(wnids, names, strict=True)).encode()
    annotations = []
    for label, wnid in enumerate(wnids):
        for number, jpeg in enumerate(_jpegs(label, seed, 0, train)):
            yield f"train/{wnid}/images/{wnid}_{number}.JPEG", jpeg
        for number, jpeg in enumerate(_jpegs(label, seed, train, val), start=label * val):
            annotations.append(f"val_{number}.JPEG\t{wnid}\t0\t0\t63\t63\n")
            yield f"val/images/val_{number}.JPEG", jpeg
    yield "val/val_annotations.txt", "".join(annotations).encode()


def _jpegs(label: int, seed: int, first: int, count: int) -> Iterator[bytes]:
    for start in range(first, first + count, _BATCH):
        ids = np.arange(start, min(start + _BATCH, first + count))
        yield from (admit.encode(pixels, quality=90) for pixels in draw(label, ids, seed))
