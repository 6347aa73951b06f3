"""Encoded bytes and views in, resized uint8 images out.

On a GPU all of it is one graph of DALI, or all but the decoding. On a CPU DALI decodes and `Resampler` resizes.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from shards.errors import DataError, HeadraceError
from shards.order import validation_batches
from shards.shardset import Split
from train import graphs
from train.accelerator import Accelerator
from train.batch import Plan
from train.decoded import Decoded
from train.resample import Resampler

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
        self._split, self._accelerator, self._decoded = split, accelerator, decoded
        self._decode = decode if decoded is None else None
        self._planned: deque[Plan] = deque()  # DALI asks for input ahead of the batch that it returns
        self._plans: Iterator[Plan] = iter(())
        self._running = False
        self._resample = Resampler(threads) if accelerator.index is None else None
        self._graph = self._build(self._next_inputs, max_batch, threads)

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
                images = self._next_images()
            except StopIteration:
                if self._graph is not None:
                    self._graph.reset()
                self._running = False
                return
            except RuntimeError as error:
                raise self._explain(error) from error
            yield self._planned.popleft(), images

    def _next_images(self) -> Tensor:
        """The images of the plan that is the first in line then."""
        if self._resample is None:
            with self._accelerator.side_stream() as stream:
                (images,) = self._graph.run(stream)
                return self._accelerator.keep(from_dlpack(images.as_tensor()))
        decoded = self._next_inputs() if self._graph is None else _arrays(*self._graph.run())
        plan = self._planned[0]
        return self._resample(decoded, plan.views, plan.size)

    def _build(self, source: Callable[[], Any], max_batch: int, threads: int) -> Any:
        """The graph of DALI that this pipeline needs, if it needs one."""
        if self._resample is None:
            device = self._accelerator.index
            return graphs.viewing(source, max_batch, threads, device=device, decode=self._decode)
        return None if self._decode is None else graphs.decoding(source, max_batch, threads)

    def _next_inputs(self) -> Any:
        plan = next(self._plans)
        inputs = self._inputs(plan)
        self._planned.append(plan)
        return inputs

    def _inputs(self, plan: Plan) -> Any:
        images = self._split.jpegs(plan.ids) if self._decoded is None else self._decoded.images(plan.ids)
        if self._resample is not None:
            return images
        return images, *graphs.arguments(plan.views, plan.size)

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
            graph = self._build(lambda: inputs, 1, threads=1)
            if graph is not None:
                graph.run()
        except RuntimeError:
            return False
        return True


def _arrays(batch: Any) -> list[NDArray[np.uint8]]:
    """The images of a batch of DALI on the CPU, in its memory, which it takes back for the next one."""
    if batch.is_dense_tensor():
        whole: NDArray[np.uint8] = np.asarray(batch.as_tensor())
        return list(whole)
    return [np.asarray(batch[row]) for row in range(len(batch))]


def decode_all(split: Split, batch: int, *, threads: int) -> Iterator[list[NDArray[np.uint8]]]:
    """All images of a split in order of their ids, `batch` at a time: uint8 (height, width, 3), decoded on the CPU.

    They lie in DALI's memory, which it takes back for the next batch.
    Raises DataError when a sample's bytes changed, do not decode, or are of another size than the index says.
    """
    spans = validation_batches(len(split), batch)
    ids = iter(np.arange(first, last) for first, last in spans)
    pipeline = graphs.decoding(lambda: split.jpegs(next(ids)), batch, threads)
    for first, last in spans:
        try:
            (batched,) = pipeline.run()
        except RuntimeError as error:
            ahead = min(last + 2 * batch, len(split))  # DALI asks for input ahead of the batch that it returns
            raise _first_undecodable(split, range(first, ahead)) from error
        images = _arrays(batched)
        for sample_id, image in enumerate(images, first):
            expected = (int(split.heights[sample_id]), int(split.widths[sample_id]), 3)
            if image.shape != expected:
                raise DataError(
                    f"{split.describe(sample_id)}: decodes to {image.shape}, the index says {expected}. "
                    "See all that is wrong with `headrace verify --deep` on the shard set"
                )
        yield images


def _first_undecodable(split: Split, ids: range) -> HeadraceError:
    """The user's error where DALI could not decode one of these samples: they are tried one by one."""
    for sample_id in ids:
        if not _decodes(split.jpegs(np.array([sample_id]))):
            return _undecodable(split, sample_id)
    return HeadraceError(f"decoding samples {ids[0]} to {ids[-1]} of {split.name} failed. Try again")


def _decodes(jpegs: list[NDArray[np.uint8]]) -> bool:
    try:
        graphs.decoding(lambda: jpegs, len(jpegs), threads=1).run()
    except RuntimeError:
        return False
    return True


def _undecodable(split: Split, sample_id: int) -> DataError:
    return DataError(
        f"{split.describe(sample_id)}: the image does not decode. Find all such samples with "
        "`headrace verify --deep` on the shard set"
    )
