"""The only home of NVIDIA DALI: encoded bytes and views in, resized uint8 images out.

The graph has no random operator and no reader. All that varies from batch to batch arrives as an argument, so
the pixels of a sample depend on its bytes and its view alone, and one graph serves training and evaluation at
any size.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from nvidia.dali import Pipeline, fn, types
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from shards.errors import DataError, HeadraceError
from shards.shardset import Split
from train.accelerator import Accelerator
from train.batch import Plan

_INPUT_TYPES = [types.UINT8, types.FLOAT, types.FLOAT, types.FLOAT]
_INPUT_DIMS = [1, 1, 1, 1]


class ImagePipeline:
    """Decodes the samples of a split and resizes their views, on the CPU or on the GPU of `accelerator`.

    `threads` are DALI's CPU threads; `decode` places the JPEG decoder: "cpu", or "mixed" (nvJPEG on the GPU).
    """

    def __init__(self, split: Split, max_batch: int, accelerator: Accelerator, *, threads: int, decode: str) -> None:
        self._split = split
        self._accelerator = accelerator
        self._planned: deque[Plan] = deque()  # DALI asks for input ahead of the batch that it returns
        self._plans: Iterator[Plan] = iter(())
        self._pipeline = _build(self._next_inputs, max_batch, accelerator, threads=threads, decode=decode)

    def run(self, plans: Iterator[Plan]) -> Iterator[tuple[Plan, Tensor]]:
        """Each plan with its images, uint8 (b, size, size, 3) on the device, in the order of `plans`.

        Raises DataError when a sample's bytes changed or do not decode, naming it.
        """
        self._plans = plans
        self._planned.clear()
        while True:
            try:
                images = self._run_once()
            except StopIteration:
                self._pipeline.reset()
                return
            except RuntimeError as error:
                raise self._explain(error) from error
            yield self._planned.popleft(), images

    def _run_once(self) -> Tensor:
        with self._accelerator.side_stream() as stream:
            (images,) = self._pipeline.run() if stream is None else self._pipeline.run(cuda_stream=stream)
            return self._accelerator.keep(from_dlpack(images.as_tensor()))

    def _next_inputs(self) -> tuple[Any, ...]:
        plan = next(self._plans)
        size = np.full((len(plan.ids), 2), plan.size, np.float32)
        inputs = self._split.jpegs(plan.ids), plan.views.start, plan.views.end, size
        self._planned.append(plan)
        return inputs

    def _explain(self, error: RuntimeError) -> HeadraceError:
        """The user's error for one of DALI's: it numbers samples within the batch, the user knows keys."""
        found = re.search(r"sample #(\d+)", str(error))
        if found is None or not self._planned:
            return HeadraceError(f"the image pipeline failed: {str(error).strip().splitlines()[0]}")
        where = self._split.describe(int(self._planned[0].ids[int(found[1])]))
        return DataError(
            f"{where}: the image does not decode. Find all such samples with `headrace verify --deep` on the shard set"
        )


def _build(
    source: Callable[[], Any], max_batch: int, accelerator: Accelerator, *, threads: int, decode: str
) -> Pipeline:
    pipeline = Pipeline(batch_size=max_batch, num_threads=threads, device_id=accelerator.index, prefetch_queue_depth=2)
    with pipeline:
        jpegs, start, end, size = fn.external_source(
            source, num_outputs=4, batch=True, dtype=_INPUT_TYPES, ndim=_INPUT_DIMS
        )
        images = fn.decoders.image(jpegs, device=decode, output_type=types.RGB)
        if accelerator.index is not None and decode == "cpu":
            images = images.gpu()
        images = fn.resize(
            images, size=size, roi_start=start, roi_end=end, interp_type=types.INTERP_LINEAR, antialias=True
        )
        pipeline.set_outputs(images)
    pipeline.build()
    return pipeline
