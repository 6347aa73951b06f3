"""Pixels from the decoded cache equal those of a run without it, or are an error."""

import os
from collections import deque
from pathlib import Path
from threading import Timer

import numpy as np
import pytest

from headrace.shards.errors import DataError
from headrace.shards.shardset import ShardSet
from headrace.train.input.decode.cache import HEADER, CacheFile
from headrace.train.input.decode.pipeline import ImagePipeline
from headrace.train.input.decode.regions import Regions
from headrace.train.input.plans import Plan, ValidationPlans
from tests.train import pictures
from tests.train.input.decode.caches import IMAGE, cached, graph_for_gpus, made
from tests.train.pictures import CPU, by_sample, picture, pipeline, split_of, training


def test_pixels_are_the_same(tiny_set: Path, tmp_path: Path) -> None:
    """Training batches from the cache have the same samples, order and bits as without it, plain and mirrored."""
    shards = ShardSet.open(tiny_set)
    split, pixels = shards.split("train"), made(shards, tmp_path)["train"]
    plans, mirrored = training(split), []
    for (plan, image), (other, again) in zip(
        pipeline(split).run(plans.stream(0, 20, range(3))),
        cached(split, pixels).run(plans.stream(0, 20, range(3))),
        strict=True,
    ):
        assert (plan.step, plan.group, plan.ids.tolist()) == (other.step, other.group, other.ids.tolist())
        assert (image == again).all()
        mirrored.append((plan.wanted.views.start[:, 1] > plan.wanted.views.end[:, 1]).mean())
    assert 0.3 < np.mean(mirrored) < 0.7


def test_images_of_any_shape(tmp_path: Path) -> None:
    """Images of different shapes, one turned by EXIF, have the same pixels from the cache, cropped or whole."""
    shapes = [(64, 64), (200, 50), (33, 120), (7, 5), (101, 99)]
    jpegs = [picture(*shape) for shape in shapes] + [picture(150, 100, exif=pictures.exif(6))]
    split = split_of(jpegs, tmp_path)
    pixels = made(ShardSet.open(tmp_path / "set"), tmp_path / "cache")["train"]
    plans = training(split, batch=6, group=6, size=96)
    plain = by_sample(pipeline(split), plans.stream(0, 9, range(1)))
    again = by_sample(cached(split, pixels), plans.stream(0, 9, range(1)))
    assert len(plain) == 54
    assert all((plain[key] == again[key]).all() for key in plain)
    centre = ValidationPlans(split, 6, 0.875, 32)
    ((_, one),) = pipeline(split).run(centre.stream(range(1)))
    ((_, other),) = cached(split, pixels).run(centre.stream(range(1)))
    assert (one == other).all()


def test_the_way_of_gpus_shows_the_same(tmp_path: Path) -> None:
    """In the pipeline for GPUs, run on the CPU here, the cache gives the pixels that would be decoded."""
    shapes = [(64, 64), (200, 50), (33, 120), (7, 5), (101, 99)]
    split = split_of([picture(*shape) for shape in shapes], tmp_path)
    pixels = made(ShardSet.open(tmp_path / "set"), tmp_path / "cache")["train"]
    plans = training(split, batch=5, group=5, size=48)
    plain, again = (
        [images.numpy().copy() for _, images in way.run(plans.stream(0, 9, range(1)))]
        for way in (graph_for_gpus(split, 5, cache) for cache in (None, pixels))
    )
    assert len(plain) == 9
    assert (np.array(plain) == np.array(again)).all()


@pytest.mark.parametrize("way", ["on a CPU", "of GPUs"])
def test_pixels_that_changed_are_an_error(tiny_set: Path, tmp_path: Path, way: str) -> None:
    """Changed pixels end the run with the file and the sample; the file is removed, and the next run makes it again."""
    shards = ShardSet.open(tiny_set)
    split, pixels = shards.split("train"), made(shards, tmp_path)["train"]
    file = CacheFile.of(shards, "train", tmp_path)
    sound = file.path.read_bytes()
    with file.path.open("r+b") as stream:
        stream.seek(HEADER + 300 * IMAGE)
        stream.write(bytes(255 - byte for byte in sound[HEADER + 300 * IMAGE : HEADER + 301 * IMAGE]))
    pipe = cached(split, pixels) if way == "on a CPU" else graph_for_gpus(split, 16, pixels)
    message = (
        rf"{file.path}: the decoded pixels of train-000003.tar, key 000000300 .*checksum.* was removed. Start again"
    )
    with pytest.raises(DataError, match=message):
        list(pipe.run(training(split).stream(0, 10, range(3))))
    assert list(tmp_path.iterdir()) == []
    made(shards, tmp_path)
    assert file.path.read_bytes() == sound


def test_cut_while_batches_are_read(tiny_set: Path, tmp_path: Path) -> None:
    """A file that is truncated at any moment gives an error, not a signal."""
    shards = ShardSet.open(tiny_set)
    split, file = shards.split("train"), CacheFile.of(shards, "train", tmp_path)
    for left in (0, file.size // 3, int(file.starts[-1]) - 1):
        pipe = ImagePipeline[Plan](split, 48, CPU, threads=2, decode="cpu", decoded=made(shards, tmp_path)["train"])
        batches = pipe.run(training(split, group=48).stream(0, 100_000, range(1)))
        next(batches)
        Timer(0.02, os.truncate, (file.path, left)).start()
        message = rf"{file.path}: .* truncated during the run to {left:,} of {file.size:,} bytes.* removed. Start again"
        with pytest.raises(DataError, match=message):
            deque(batches, maxlen=0)


def test_a_cache_that_was_made_again_meanwhile_stays(tiny_set: Path, tmp_path: Path) -> None:
    """A run that finds damage removes only the file that it read, not one that another run put in its place."""
    shards = ShardSet.open(tiny_set)
    pixels, file = made(shards, tmp_path)["train"], CacheFile.of(shards, "train", tmp_path)
    sound = file.path.read_bytes()
    (tmp_path / "new").write_bytes(sound)
    os.truncate(file.path, HEADER)
    (tmp_path / "new").replace(file.path)
    with pytest.raises(DataError, match="Start again"):
        pixels.read(np.arange(3), Regions.whole(*np.full((2, 3), 64, np.int32)))
    assert file.path.read_bytes() == sound
