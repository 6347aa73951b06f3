"""The only home of NVIDIA DALI: encoded bytes and views in, resized uint8 images out.

The graph has no random operator and no reader. All that varies from batch to batch arrives as an argument, so
the pixels of a sample depend on its bytes and its view alone, and one graph serves training and evaluation at
any size.
"""

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
        self._split, self._accelerator, self._decode = split, accelerator, decode
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
            (images,) = self._pipeline.run() if stream is None else self._pipeline.run(cuda_stream=stream)
            return self._accelerator.keep(from_dlpack(images.as_tensor()))

    def _next_inputs(self) -> tuple[Any, ...]:
        plan = next(self._plans)
        inputs = self._inputs(plan)
        self._planned.append(plan)
        return inputs

    def _inputs(self, plan: Plan) -> tuple[Any, ...]:
        size = np.full((len(plan.ids), 2), plan.size, np.float32)
        return self._split.jpegs(plan.ids), plan.views.start, plan.views.end, size

    def _explain(self, error: RuntimeError) -> HeadraceError:
        """The user's error for one of DALI's, which names no sample: those in question are tried one by one."""
        for plan in self._planned:
            for row, sample_id in enumerate(plan.ids.tolist()):
                if not self._succeeds(self._inputs(plan.one(row))):
                    return DataError(
                        f"{self._split.describe(sample_id)}: the image does not decode. Find all such samples with "
                        "`headrace verify --deep` on the shard set"
                    )
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
