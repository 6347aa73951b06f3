"""The contenders that use DALI: Headrace, and DALI's own webdataset reader."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.input.contenders.task import AREA, BATCH, FLIP, MEAN, RATIO, STD, THREADS, Contender, Given, split

IN_MEMORY = 40  # batches of JPEGs that are held in memory


def headrace(given: Given, *, cached: bool = False, together: bool = True) -> Iterator[Any]:
    """The product's own feed, thread, queue and normalisation; without `together` simplejpeg decodes small images."""
    import torch

    from headrace.train.input.assembly import Input
    from headrace.train.input.decode import turbo
    from headrace.train.input.normalise import Normalise
    from headrace.train.machine.device import Accelerator
    from headrace.train.machine.place import Place
    from headrace.train.machine.world import World
    from headrace.train.run.process import keep_freed_memory

    torch.set_num_threads(1)
    keep_freed_memory()
    if not together:
        mock.patch.object(turbo, "system_library", return_value=None).start()
    samples, plans = planned(given)
    accelerator = Accelerator(None)
    normalise = Normalise(MEAN, STD, accelerator)
    decoded = decoded_cache(given.shards, given.prepared) if cached else None
    made = Input(samples, BATCH, Place(World(), accelerator, THREADS), decoded=decoded)
    with made.feed(plans) as feed:
        for batch in feed:
            yield normalise(batch.images)


def loader(given: Given, *, cached: bool = False) -> Iterator[Any]:
    """`headrace.Loader` in a plain loop, in a process with torch's own settings."""
    import headrace

    augment = {"crop_area": AREA, "crop_ratio": RATIO, "flip": FLIP}
    cache: dict[str, Any] = {"cache": "decoded", "cache_dir": given.prepared} if cached else {}
    with headrace.Loader(
        given.shards, batch=BATCH, size=given.size, augment=augment, device="cpu", threads=THREADS, **cache
    ) as loader:
        for images, _ in loader.steps():
            yield images


def planned(given: Given) -> tuple[Any, Iterator[Any]]:
    """The training split, and the product's plans of its batches without end."""
    from headrace.shards.order import Order, Steps
    from headrace.train.input.augment.views import Crop
    from headrace.train.input.plans import TrainPlans

    samples = split(given.shards)
    steps = Steps(len(samples), BATCH, BATCH)
    crop = Crop(AREA, RATIO, FLIP)
    plans = TrainPlans(samples, Order(len(samples), 0), steps, crop, ((0, given.size),))
    return samples, plans.stream(0, 1_000_000, range(1))


def for_a_gpu(given: Given) -> Iterator[Any]:
    """The CPU's part of the work if a GPU does the rest: plans, reading, decoding the visible part."""
    from nvidia.dali import Pipeline, fn, types

    from headrace.train.input.decode import dali
    from headrace.train.input.decode.regions import seen

    samples, plans = planned(given)

    def source() -> tuple[Any, ...]:
        plan = next(plans)
        ids, views, size = plan.wanted
        regions = seen(views, samples.heights[ids], samples.widths[ids])
        return dali.listed(samples.jpegs(ids)), *dali.arguments(views, regions, size)[:2]

    pipeline = Pipeline(BATCH, THREADS, device_id=None, prefetch_queue_depth=2)
    with pipeline:
        jpegs, start, sides = fn.external_source(
            source, num_outputs=3, batch=True, dtype=[types.UINT8, types.INT32, types.INT32], ndim=[1, 1, 1]
        )
        part = {"start": start, "shape": sides, "axes": [0, 1]}
        pipeline.set_outputs(fn.decoders.image_slice(jpegs, **part, output_type=types.RGB))
    pipeline.build()
    while True:
        yield pipeline.run()[0]


def decoder(given: Given) -> Iterator[Any]:
    """DALI's decoder alone, for JPEGs in memory."""
    from itertools import cycle, islice

    from headrace.train.input.decode import dali

    samples, plans = planned(given)
    batches = cycle([samples.jpegs(plan.ids) for plan in islice(plans, IN_MEMORY)])
    pipeline = dali.decoding(lambda: next(batches), BATCH, THREADS)
    while True:
        yield pipeline.run()[0]


def decoded_cache(shards: Path, folder: Path) -> Any:
    """The product's cache of decoded images, made if missing."""
    from headrace.shards.shardset import ShardSet
    from headrace.train.input.decode.cache import plan_caches
    from headrace.train.input.decode.cache_fill import open_caches
    from headrace.train.machine.world import World

    opened = ShardSet.open(shards)
    files, _ = plan_caches(opened, ("train",), folder)
    return open_caches(opened, files, World(), THREADS, print)["train"]


def dali_reader(given: Given) -> Iterator[Any]:
    """DALI's own webdataset reader and random operators; decoding and crop are separate: faster for small images."""
    from nvidia.dali import fn, pipeline_def, types
    from nvidia.dali.plugin.pytorch import DALIGenericIterator

    tars = sorted(map(str, given.shards.glob("train-*.tar")))

    settings = {"batch_size": BATCH, "num_threads": THREADS, "device_id": None, "prefetch_queue_depth": 2, "seed": 1}

    @pipeline_def(**settings)  # type: ignore[untyped-decorator]
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
        images = fn.random_resized_crop(images, size=given.size, random_area=AREA, random_aspect_ratio=RATIO)
        mirror = fn.random.coin_flip(probability=FLIP)
        return fn.crop_mirror_normalize(
            images, dtype=types.FLOAT, output_layout="HWC", mirror=mirror, mean=MEAN, std=STD
        )

    iterator = DALIGenericIterator([graph()], ["images"], reader_name="reader", auto_reset=True)
    while True:
        for (batch,) in iterator:
            yield batch["images"]


_DALI = {"nvidia-dali-cuda120": "nvidia.dali", "torch": "torch"}
CONTENDERS = {
    "headrace": Contender(headrace, _DALI, "its feed, with the normalisation of the step"),
    "headrace, by simplejpeg alone": Contender(
        partial(headrace, together=False), _DALI, "the same without the system's libturbojpeg"
    ),
    "headrace-decoded-cache": Contender(
        partial(headrace, cached=True), _DALI, "the same with runtime.cache = decoded: no decoding", decoded_cache
    ),
    "headrace.Loader": Contender(loader, _DALI, "the public loader in a plain loop; nothing of the process is set"),
    "headrace.Loader, decoded cache": Contender(
        partial(loader, cached=True), _DALI, "the same with cache='decoded'", decoded_cache
    ),
    "part: headrace for a GPU": Contender(
        for_a_gpu, _DALI, "what it leaves to the CPU where a GPU resizes: plans, reading, decoding", floor=True
    ),
    "part: DALI's decoder": Contender(decoder, _DALI, "DALI's decoder alone, fed with JPEGs in memory", floor=True),
    "dali-reader": Contender(dali_reader, _DALI, "fn.readers.webdataset and DALI's random operators"),
}
