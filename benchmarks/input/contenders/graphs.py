"""The contenders with an executor of their own: tf.data, grain, SPDL."""

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.input.contenders.crop import random_box
from benchmarks.input.contenders.task import (
    AREA,
    BATCH,
    FLIP,
    MEAN,
    RATIO,
    STD,
    THREADS,
    Contender,
    Given,
    Samples,
    jpegs,
    split,
)
from benchmarks.input.contenders.torch_loaders import Pillow

RECORD_FILES = 14


def write_records(shards: Path, out: Path) -> None:
    """Write TFRecord files of tf.train.Example, as many as TinyImageNet has shards."""
    import tensorflow as tf

    out.mkdir()
    writers = [tf.io.TFRecordWriter(str(out / f"{number:03d}.tfrecord")) for number in range(RECORD_FILES)]
    for number, (jpeg, label) in enumerate(jpegs(shards)):
        features = {
            "jpeg": tf.train.Feature(bytes_list=tf.train.BytesList(value=[jpeg])),
            "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        }
        example = tf.train.Example(features=tf.train.Features(feature=features))
        writers[number % RECORD_FILES].write(example.SerializeToString())
    for writer in writers:
        writer.close()


def tf_data(given: Given) -> Iterator[Any]:
    """tf.data with its fused decode_and_crop_jpeg and automatic parallelism."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    features = {"jpeg": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}
    whole = tf.constant([[[0.0, 0.0, 1.0, 1.0]]])

    def image(record: Any) -> tuple[Any, Any]:
        found = tf.io.parse_single_example(record, features)
        begin, extent, _ = tf.image.sample_distorted_bounding_box(
            tf.io.extract_jpeg_shape(found["jpeg"]), whole, min_object_covered=0.0, area_range=AREA,
            aspect_ratio_range=RATIO, max_attempts=10, use_image_if_no_bounding_boxes=True,
        )  # fmt: skip
        window = tf.stack([begin[0], begin[1], extent[0], extent[1]])
        pixels = tf.io.decode_and_crop_jpeg(found["jpeg"], window, channels=3)
        pixels = tf.image.random_flip_left_right(tf.image.resize(pixels, (given.size, given.size)))
        return (pixels - MEAN) / STD, found["label"]

    records = tf.data.Dataset.list_files(str(given.prepared / "*.tfrecord"), shuffle=True)
    data = records.interleave(tf.data.TFRecordDataset, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False)
    data = data.shuffle(4096).repeat().map(image, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False)
    for images, _ in data.batch(BATCH, drop_remainder=True).prefetch(tf.data.AUTOTUNE):
        yield images


class _Lazy:
    """The samples of Headrace's reader with the Pillow transform, opened in the worker that uses them."""

    def __init__(self, given: Given) -> None:
        self._given = given
        self._samples: Samples | None = None
        self._count = len(split(given.shards))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[Any, int]:
        if self._samples is None:
            self._samples = Samples(self._given.shards, Pillow(self._given.size))
        image, label = self._samples[index]
        return image.numpy(), label

    def __getstate__(self) -> dict[str, Any]:
        return {"_given": self._given, "_samples": None, "_count": self._count}


def grain(given: Given) -> Iterator[Any]:
    """A MapDataset of grain with a worker process for each core."""
    import grain as library

    data = library.MapDataset.source(_Lazy(given)).shuffle(seed=1).repeat()
    batches = data.to_iter_dataset().batch(BATCH, drop_remainder=True)
    workers = library.multiprocessing.MultiprocessingOptions(num_workers=THREADS)
    for images, _ in batches.mp_prefetch(workers):
        yield images


def spdl(given: Given) -> Iterator[Any]:
    """SPDL's threads and FFmpeg filters; numpy normalises whole batches, because FFmpeg has no filter for that."""
    import numpy as np
    from spdl.io import convert_frames, decode_packets, demux_image, get_filter_desc, to_numpy
    from spdl.pipeline import PipelineBuilder

    mean, std = np.array(MEAN, np.float32), np.array(STD, np.float32)
    samples = split(given.shards)

    def source() -> Iterator[Any]:
        while True:
            order = np.random.permutation(len(samples))  # noqa: NPY002  the benchmark needs any order
            for first in range(0, len(order) - BATCH + 1, BATCH):
                ids = order[first : first + BATCH]
                for jpeg, width, height in zip(
                    samples.jpegs(ids), samples.widths[ids], samples.heights[ids], strict=True
                ):
                    yield jpeg.tobytes(), int(width), int(height)

    def decode(item: tuple[bytes, int, int]) -> Any:
        jpeg, width, height = item
        x, y, w, h = random_box(width, height)
        mirror = "hflip," if random.random() < FLIP else ""
        scale = f"crop={w}:{h}:{x}:{y},{mirror}scale={given.size}:{given.size}:flags=bilinear,format=pix_fmts=rgb24"
        packets = demux_image(jpeg)
        return decode_packets(packets, filter_desc=get_filter_desc(packets, filter_desc=scale))

    def normalised(frames: list[Any]) -> Any:
        return (to_numpy(convert_frames(frames)) - mean) / std

    builder = PipelineBuilder().add_source(source()).pipe(decode, concurrency=THREADS)
    builder = builder.aggregate(BATCH, drop_last=True).pipe(normalised).add_sink(2)
    pipeline = builder.build(num_threads=THREADS, max_failures=0)
    with pipeline.auto_stop():
        yield from pipeline


CONTENDERS = {
    "tf.data": Contender(
        tf_data, {"tensorflow": "tensorflow"}, "TFRecords of the same JPEGs, decode_and_crop_jpeg", write_records
    ),
    "grain": Contender(grain, {"grain": "grain", "pillow": "PIL"}, "MapDataset over our reader, Pillow by hand"),
    "spdl": Contender(spdl, {"spdl": "spdl.io"}, "our reader, SPDL's threads, FFmpeg's decoder and filters"),
}
