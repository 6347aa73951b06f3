"""Compares the exported network with the checkpoint's network on the same pixels, before the export is published."""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from headrace.shards import manifest
from headrace.shards.draws import Stream, hash64
from headrace.shards.errors import DataError, HeadraceError, UsageError
from headrace.shards.manifest import VALIDATION
from headrace.shards.shardset import ShardSet
from headrace.shards.urls import Location, Url
from headrace.train.evaluate.export.facts import Facts
from headrace.train.evaluate.export.writers import Pixels, Written, preprocess_source

IMAGES = 200
LARGEST = 1e-3
"""The largest difference allowed between a logit of the exported network and the checkpoint's logit."""
_BATCH = 25
_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class Checked:
    """The result of a comparison: `largest` is the largest difference between a logit of one network and of the other.

    `other` counts the images to which the exported network gives another class than the checkpoint's network. `ties`
    counts the images whose two largest logits differ by less than twice `largest`. `right` counts the images that the
    exported network classifies correctly.
    """

    images: int
    noise: bool
    largest: float
    other: int
    ties: int
    right: int | None  # among the images with labels

    def sentence(self) -> str:
        """Return the result of the comparison as a sentence."""
        what = f"{self.images} images of noise" if self.noise else f"{self.images} images decoded by Pillow"
        ties = f" ({self.other} other classes, all near ties)" if self.other else ""
        proof = "; images prove more than noise: give --check SHARDS or FOLDER" if self.noise else ""
        accuracy = "" if self.right is None else f"; {self.right} of them are classified correctly"
        return (
            f"compared with the checkpoint on {what}: logits differ by at most {self.largest:.1e}, same class for "
            f"{self.images - self.other} of {self.images}{ties}{accuracy}{proof}"
        )


def compare(reference: Written, written: Written, facts: Facts, source: Location | None) -> Checked:
    """Compare two networks on images of a shard set or folder, or on noise if `source` is None.

    Raises HeadraceError if the logits of the networks differ too much, UsageError if `source` has no images.
    """
    if source is None:
        words = hash64(0, Stream.RESIDENT, np.arange(_BATCH * facts.size * facts.size * 3 // 8 + 1))
        noise = words.view(np.uint8)[: _BATCH * facts.size**2 * 3].reshape(_BATCH, facts.size, facts.size, 3)
        return _compared(reference, written, [(noise, None)], noise=True)
    return _compared(reference, written, _batches(source, facts), noise=False)


def _compared(
    reference: Written, written: Written, batches: "Iterable[tuple[Pixels, NDArray[np.int64] | None]]", *, noise: bool
) -> Checked:
    expected, found, labels = [], [], []
    for pixels, known in batches:
        expected.append(reference(pixels))
        found.append(written(pixels))
        labels.append(known)
    ours, theirs = np.concatenate(expected), np.concatenate(found)
    largest = float(np.abs(ours - theirs).max())
    two = np.sort(ours, 1)[:, -2:] if ours.shape[1] > 1 else np.stack([ours[:, 0] - 1, ours[:, 0]], 1)
    ties = two[:, 1] - two[:, 0] < 2 * largest
    other = ours.argmax(1) != theirs.argmax(1)
    if not largest <= LARGEST or (other & ~ties).any():
        raise HeadraceError(
            f"the exported network differs from the checkpoint's network: logits differ by up to {largest:.2e} "
            f"(allowed: {LARGEST:g}), and {int((other & ~ties).sum())} of {len(ours)} images get another class. "
            "Nothing was written"
        )
    there = [one for one in labels if one is not None]
    right = int((theirs.argmax(1) == np.concatenate(there)).sum()) if len(there) == len(labels) else None
    return Checked(len(ours), noise, largest, int(other.sum()), int(ties.sum()), right)


def _batches(source: Location, facts: Facts) -> Iterator[tuple[Pixels, NDArray[np.int64] | None]]:
    """Yield batches of images decoded by Pillow and prepared by preprocess.py, with their labels if known."""
    of_set = isinstance(source, Url) or (source / manifest.NAME).exists()
    images = list(_of_set(source, facts) if of_set else _of_folder(Path(str(source))))
    labels = [label for _, label in images if label is not None]
    pixels = _ready([data for data, _ in images], facts)
    for first in range(0, len(images), _BATCH):
        rows = slice(first, first + _BATCH)
        yield pixels[rows], np.array(labels[rows]) if len(labels) == len(images) else None


def _ready(files: list[bytes], facts: Facts) -> Pixels:
    """Run preprocess.py on image files in a separate process, as a user would, and return the pixels that it makes."""
    with TemporaryDirectory(prefix="headrace-") as folder:
        program, paths = Path(folder, "preprocess.py"), [Path(folder, str(row)) for row in range(len(files))]
        program.write_text(preprocess_source(facts), "utf-8")
        for path, data in zip(paths, files, strict=True):
            path.write_bytes(data)
        made = Path(folder, "pixels.npy")
        done = subprocess.run([sys.executable, "-I", program, made, *paths], capture_output=True, check=False)
        if done.returncode:
            reason = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise DataError(f"--check: Pillow cannot read the images: {reason[-1] if reason else 'no reason given'}")
        pixels: Pixels = np.load(made, allow_pickle=False)
        return pixels


def _of_set(source: Location, facts: Facts) -> Iterator[tuple[bytes, int | None]]:
    """Yield samples spread evenly over the validation split, or over the first split if the set has no such split."""
    shards = ShardSet.open(source)
    name = VALIDATION if VALIDATION in shards.split_names else shards.split_names[0]
    same = shards.class_ids == facts.classes
    with closing(shards.split(name)) as split:
        split.read_in_order(0, len(split))
        for place in np.unique(np.linspace(0, len(split) - 1, IMAGES).astype(np.int64)).tolist():
            sample = split[place]
            yield sample.jpeg, sample.label if same else None


def _of_folder(source: Path) -> Iterator[tuple[bytes, int | None]]:
    paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in _ENDINGS and path.is_file())
    if not paths:
        raise UsageError(
            f"{source}: neither a shard set nor a folder with image files. "
            "Give --check a shard set or a folder of images"
        )
    for place in np.unique(np.linspace(0, len(paths) - 1, IMAGES).astype(np.int64)).tolist():
        yield paths[place].read_bytes(), None
