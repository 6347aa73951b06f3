"""Checks whether `headrace predict` on files gives the same predictions as prep followed by `headrace eval`.

    python -m benchmarks.whole.predicted SOURCE CHECKPOINT WORK

SOURCE is the official zip of TinyImageNet, and CHECKPOINT was trained on all its classes. The zip is unpacked into
WORK, and its validation images are also written as PNG, in a folder for each class. For each form, prep makes a set,
eval evaluates its validation split, and predict reads the folder of the same images. Labels, counts and probabilities
are compared image by image.
"""

import shutil
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.tables import Row
from benchmarks.whole.invariance import headrace
from headrace.shards.shardset import ShardSet
from headrace.train.checkpoint import files
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.record.predictions import NAME, Predictions


class Form(NamedTuple):
    """The data set in one form: its path, and the path of its validation images."""

    name: str
    source: Path
    images: Path


def unpacked(archive: Path, work: Path) -> Form:
    """Unpack the official layout to a folder if it is missing; return this form."""
    out = work / "jpeg"
    if not out.exists():
        with zipfile.ZipFile(archive) as source:
            source.extractall(work / "unpacking")
        (root,) = (found.parent for found in (work / "unpacking").rglob("wnids.txt"))
        root.rename(out)
    return Form("JPEG, as in the zip", out, out / "val" / "images")


def as_png(shards: ShardSet, jpegs: Path, work: Path) -> Form:
    """Write the validation images as PNG to a folder for each class, with one training image of each class."""
    out = work / "png"
    if not out.exists():
        shutil.rmtree(work / "making", ignore_errors=True)
        for split, step in (("train", 500), ("val", 1)):
            listed = shards.split(split)
            rows = np.argsort(listed.labels, kind="stable")[::step].tolist()
            for row in rows:
                folder = work / "making" / split / shards.class_ids[listed.labels[row]]
                folder.mkdir(parents=True, exist_ok=True)
                with Image.open(jpegs / listed.sources[row]) as image:
                    image.save(folder / f"{Path(listed.sources[row]).stem}.png")
        (work / "making").rename(out)
    return Form("PNG, in class folders", out, out / "val")


def prepared(form: Form, work: Path) -> ShardSet:
    """Make the shard set of a form; return it opened."""
    out = work / f"{form.source.name}-set"
    headrace("prep", form.source, out)
    return ShardSet.open(out)


def compared(form: Form, shards: ShardSet, checkpoint: Path, work: Path) -> Row:
    """A row that compares eval and predict on the same images."""
    out = work / f"{form.source.name}-out"
    began = time.monotonic()
    headrace("eval", checkpoint, shards.root, "--out", out)
    between = time.monotonic()
    headrace("predict", checkpoint, form.images, "--format", "parquet", "--out", out / "predicted.parquet")
    ended = time.monotonic()
    measured, table = Predictions.read(out / NAME), pq.read_table(out / "predicted.parquet").to_pydict()
    row_of = {name: row for row, name in enumerate(dict.fromkeys(table["file"]))}
    rows = [row_of.pop(str(form.source / source)) for source in shards.split("val").sources]
    labels = np.array(table["label"], np.int64).reshape(-1, 5)[rows]
    chances = np.array(table["probability"]).reshape(-1, 5)[rows]
    right = {"eval": measured.top_labels == measured.labels[:, None], "predict": labels == measured.labels[:, None]}
    return {
        "form": form.name,
        "images": len(rows),
        "predicted besides": len(row_of),
        **{f"top-1 right, {who}": int(found[:, 0].sum()) for who, found in right.items()},
        **{f"top-5 right, {who}": int(found.any(1).sum()) for who, found in right.items()},
        "other likeliest label": int((labels[:, 0] != measured.top_labels[:, 0]).sum()),
        "largest difference of a probability": f"{np.abs(chances - measured.top_probabilities).max():.1e}",
        "eval, s": round(between - began),
        "predict, s": round(ended - between),
    }


def main() -> None:
    """Make missing files in WORK, compare, and write the result."""
    benchmark = Benchmark(__file__, __doc__, "predicted", "headrace predict beside prep and headrace eval")
    benchmark.add("source", type=path, help="the official zip of TinyImageNet")
    benchmark.add("checkpoint", type=path, help="a file or run folder, trained on all 200 classes")
    benchmark.add("work", type=path, help="a folder for images and sets, which is kept")
    asked = benchmark.parse()
    saved = Checkpoint.of(files.load(asked.checkpoint))
    flip = ", mirrored too" if saved.recipe.evaluate.flip else ""
    benchmark.note(
        network=f"{saved.recipe.model.name}, step {saved.progress.step}, {saved.size} px, crop {saved.crop:g}{flip}"
    )
    jpeg = unpacked(asked.source, asked.work)
    shards = prepared(jpeg, asked.work)
    png = as_png(shards, jpeg.source, asked.work)
    forms = ((jpeg, shards), (png, prepared(png, asked.work)))
    rows = [compared(form, its, asked.checkpoint, asked.work) for form, its in forms]
    benchmark.write({"All validation images": rows})


if __name__ == "__main__":
    main()
