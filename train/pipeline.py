"""The only home of NVIDIA DALI: encoded bytes and views in, resized uint8 images out.

The graph has no random operator and no reader. All that varies from batch to batch arrives as an argument, so
the pixels of a sample depend on its bytes and its view alone, and one graph serves training and evaluation at
any size.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from nvidia.dali import Pipeline, fn, types
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from shards.errors import DataError, HeadraceError
from shards.order import validation_batches
from shards.shardset import Split
from train.accelerator import Accelerator
from train.batch import Plan
from train.decoded import Decoded

_INPUT_TYPES = [types.UINT8, types.FLOAT, types.FLOAT, types.FLOAT]
CACHED = "cached"
"""In place of where JPEGs are decoded: the input is decoded images."""
_NO_MEMORY = ("CUDA allocation failed", "Can't allocate", "cudaErrorMemoryAllocation", "out of memory")


class ImagePipeline:
    """Decodes the samples of a split and resizes their views, on the CPU or on the GPU of `accelerator`.

    `threads` are DALI's CPU threads; `decode` places the JPEG decoder: "cpu", or "mixed" (nvJPEG on the GPU). Images
    that are `decoded` are taken as they are: the pixels are the same as with "cpu".
    """

    def __init__(
        self,
        split: Split,
        max_batch: int,
        accelerator: Accelerator,
        *,
        threads: int,
        decode: str,
        decoded: Decoded | None = None,
    ) -> None:
        decode = decode if decoded is None else CACHED
        self._split, self._accelerator, self._decode, self._decoded = split, accelerator, decode, decoded
        self._planned: deque[Plan] = deque()  # DALI asks for input ahead of the batch that it returns
        self._plans: Iterator[Plan] = iter(())
        self._running = False
        self._pipeline = _build(self._next_inputs, max_batch, accelerator, threads=threads, decode=decode)

    def run(self, plans: Iterator[Plan]) -> Iterator[tuple[Plan, Tensor]]:
        """Each plan with its images, uint8 (b, size, size, 3) on the device, in the order of `plans`.

        Raises DataError when a sample's bytes changed or do not decode, naming it. It may come a batch early: DALI
        asks for input ahead. A run that failed or was left in its middle is the pipeline's last.
        """
        if self._running:
            raise RuntimeError("an earlier run of this pipeline did not end: batches of it are still inside")
        self._running = True
        self._plans = plans
        while True:
            try:
                images = self._run_once()
            except StopIteration:
                self._pipeline.reset()
                self._running = False
                return
            except RuntimeError as error:
                raise self._explain(error) from error
            yield self._planned.popleft(), images

    def _run_once(self) -> Tensor:
        with self._accelerator.side_stream() as stream:
            (images,) = self._pipeline.run(stream)
            return self._accelerator.keep(from_dlpack(images.as_tensor()))

    def _next_inputs(self) -> tuple[Any, ...]:
        plan = next(self._plans)
        inputs = self._inputs(plan)
        self._planned.append(plan)
        return inputs

    def _inputs(self, plan: Plan) -> tuple[Any, ...]:
        size = np.full((len(plan.ids), 2), plan.size, np.float32)
        images = self._split.jpegs(plan.ids) if self._decoded is None else self._decoded.images(plan.ids)
        return images, plan.views.start, plan.views.end, size

    def _explain(self, error: RuntimeError) -> HeadraceError:
        """The user's error for one of DALI's, which names no sample: those in question are tried one by one."""
        if any(words in str(error) for words in _NO_MEMORY):  # trying again would blame a sample for it
            return HeadraceError(
                "the image pipeline ran out of GPU memory. Lower train.group, which changes what batch normalisation "
                "sees, or evaluate.batch, or set runtime.decode=cpu; the last checkpoint stays as it is"
            )
        for plan in self._planned:
            for row, sample_id in enumerate(plan.ids.tolist()):
                if not self._succeeds(self._inputs(plan.one(row))):
                    return _undecodable(self._split, sample_id)
        reason = str(error).rpartition("encountered:")[2].strip().splitlines()
        return HeadraceError(f"the image pipeline failed: {reason[0] if reason else type(error).__name__}")

    def _succeeds(self, inputs: tuple[Any, ...]) -> bool:
        try:
            _build(lambda: inputs, 1, self._accelerator, threads=1, decode=self._decode).run()
        except RuntimeError:
            return False
        return True


def _build(
    source: Callable[[], Any], max_batch: int, accelerator: Accelerator, *, threads: int, decode: str
) -> Pipeline:
    pipeline = Pipeline(batch_size=max_batch, num_threads=threads, device_id=accelerator.index, prefetch_queue_depth=2)
    cached = decode == CACHED
    with pipeline:
        images, start, end, size = fn.external_source(
            source,
            num_outputs=4,
            batch=True,
            dtype=_INPUT_TYPES,
            ndim=[3 if cached else 1, 1, 1, 1],
            layout=["HWC" if cached else "", "", "", ""],
        )
        if not cached:
            images = fn.decoders.image(images, device=decode, output_type=types.RGB)
        if accelerator.index is not None and decode != "mixed":
            images = images.gpu()
        images = fn.resize(
            images, size=size, roi_start=start, roi_end=end, interp_type=types.INTERP_LINEAR, antialias=True
        )
        pipeline.set_outputs(images)
    pipeline.build()
    return pipeline


def decode_all(split: Split, batch: int, *, threads: int) -> Iterator[list[NDArray[np.uint8]]]:
    """All images of a split in order of their ids, `batch` at a time: uint8 (height, width, 3), decoded on the CPU.

    They lie in DALI's memory, which it takes back for the next batch.
    Raises DataError when a sample's bytes changed, do not decode, or are of another size than the index says.
    """
    spans = validation_batches(len(split), batch)
    ids = iter(np.arange(first, last) for first, last in spans)
    pipeline = _build_decoder(lambda: split.jpegs(next(ids)), batch, threads)
    for first, last in spans:
        try:
            (batched,) = pipeline.run()
        except RuntimeError as error:
            ahead = min(last + 2 * batch, len(split))  # DALI asks for input ahead of the batch that it returns
            raise _first_undecodable(split, range(first, ahead)) from error
        images = [batched.at(row) for row in range(last - first)]
        for sample_id, image in enumerate(images, first):
            expected = (int(split.heights[sample_id]), int(split.widths[sample_id]), 3)
            if image.shape != expected:
                raise DataError(
                    f"{split.describe(sample_id)}: decodes to {image.shape}, the index says {expected}. "
                    "See all that is wrong with `headrace verify --deep` on the shard set"
                )
        yield images


def _build_decoder(source: Callable[[], list[NDArray[np.uint8]]], max_batch: int, threads: int) -> Pipeline:
    pipeline = Pipeline(batch_size=max_batch, num_threads=threads, device_id=None, prefetch_queue_depth=2)
    with pipeline:
        jpegs = fn.external_source(source, batch=True, dtype=types.UINT8, ndim=1)
        pipeline.set_outputs(fn.decoders.image(jpegs, output_type=types.RGB))
    pipeline.build()
    return pipeline


def _first_undecodable(split: Split, ids: range) -> HeadraceError:
    """The user's error where DALI could not decode one of these samples: they are tried one by one."""
    for sample_id in ids:
        if not _decodes(split.jpegs(np.array([sample_id]))):
            return _undecodable(split, sample_id)
    return HeadraceError(f"decoding samples {ids[0]} to {ids[-1]} of {split.name} failed. Try again")


def _decodes(jpegs: list[NDArray[np.uint8]]) -> bool:
    try:
        _build_decoder(lambda: jpegs, len(jpegs), threads=1).run()
    except RuntimeError:
        return False
    return True


def _undecodable(split: Split, sample_id: int) -> DataError:
    return DataError(
        f"{split.describe(sample_id)}: the image does not decode. Find all such samples with "
        "`headrace verify --deep` on the shard set"
    )
