"""Makes resized images on a GPU with a single DALI graph, from JPEGs or from images that are decoded already."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from headrace.shards.encoded import Encoded
from headrace.shards.errors import DataError, HeadraceError
from headrace.train.input.decode import dali
from headrace.train.input.decode.arrays import Images
from headrace.train.input.decode.blame import blamed, explained, refused, unexplained
from headrace.train.input.decode.regions import Regions, seen
from headrace.train.input.decode.wanted import Some, Wanted
from headrace.train.machine.device import Accelerator
from headrace.train.machine.profile import Part, marked

_NO_MEMORY = ("CUDA allocation failed", "Can't allocate", "cudaErrorMemoryAllocation", "out of memory")


class Rows(Protocol):
    """A source of images that have been decoded already, such as the decoded cache."""

    def read(self, ids: NDArray[np.int64], regions: Regions) -> tuple[Images, Regions]:
        """Return, for each image, a band of rows that contains the given region, and the position of the band."""


class OnGpu(Generic[Some]):
    """Makes the images of plans with a DALI graph.

    The graph requests further plans before it returns the images of an earlier plan. If the graph fails, this object
    finds the sample that caused the failure.
    """

    def __init__(
        self,
        split: Encoded,
        max_batch: int,
        accelerator: Accelerator,
        *,
        threads: int,
        decode: str,
        decoded: Rows | None = None,
        cubic: bool = False,
    ) -> None:
        self._split, self._accelerator, self._decoded, self._cubic = split, accelerator, decoded, cubic
        self._decode = decode if decoded is None else None
        self._ahead: deque[Some] = deque()  # DALI requests input ahead of the batch that it returns
        self._plans: Iterator[Some] = iter(())
        self._graph = self._built(self._next_inputs, max_batch, threads)

    def run(self, plans: Iterator[Some]) -> Iterator[tuple[Some, Tensor]]:
        """Yield each plan with its images, uint8 (b, size, size, 3) on the device, in order.

        On a GPU, the images are made on the accelerator's side stream (a CUDA stream for the input). Work on that
        stream may use the images at once. Work on another stream must first wait for a mark (a CUDA event) on the side
        stream. Without a GPU, the images are in memory that DALI reuses for the next batch. Raises DataError, which
        names the sample, if a sample's bytes changed or do not decode. Raises HeadraceError for other failures.
        """
        self._plans = plans
        while True:
            try:
                images = self._images()
            except StopIteration:
                self._graph.reset()
                return
            except (RuntimeError, MemoryError) as error:  # MemoryError is C++'s std::bad_alloc
                raise self._explain(error) from error
            yield self._ahead.popleft(), images

    def close(self) -> None:
        """Do nothing: the graph's threads end with the graph."""

    def _built(self, source: Callable[[], Any], max_batch: int, threads: int) -> Any:
        device, cubic = self._accelerator.ordinal, self._cubic
        return dali.viewing(source, max_batch, threads, device=device, decode=self._decode, cubic=cubic)

    def _images(self) -> Tensor:
        with marked(Part.DECODE), self._accelerator.side_stream() as stream:
            (images,) = self._graph.run(stream)
            dense = images.as_tensor()
            if stream is None:
                shared: Tensor = from_dlpack(dense)
                return shared
            made = torch.empty(dense.shape(), dtype=torch.uint8, device=self._accelerator.device)
            dali.copy(dense, made, stream)
            return made

    def _next_inputs(self) -> Any:
        plan = next(self._plans)
        inputs = self._inputs(plan.wanted)
        self._ahead.append(plan)
        return inputs

    def _inputs(self, wanted: Wanted) -> Any:
        ids, views, size = wanted
        regions = seen(views, self._split.heights[ids], self._split.widths[ids])
        if self._decoded is None:
            return self._split.jpegs(ids), *dali.arguments(views, regions, size)
        images, rows = self._decoded.read(ids, regions)
        regions = regions._replace(start=regions.start - rows.start)
        return images.arrays(), *dali.arguments(rows.moved(views), regions, size)

    def _explain(self, error: RuntimeError | MemoryError) -> HeadraceError:
        """Return the error for the user.

        DALI's error names no sample, so all samples that the graph has requested are tried one by one.
        """
        if any(words in str(error) for words in _NO_MEMORY):  # another try would wrongly blame a sample
            return HeadraceError(
                "the image pipeline ran out of GPU memory; the last checkpoint is kept. Set runtime.decode=cpu, or "
                "lower evaluate.batch or train.group. A lower train.group changes the statistics of batch normalisation"
            )
        if (
            self._decode is not None and self._ahead
        ):  # the CPU may find the sample without building a graph for each one
            found = explained(self._split, np.concatenate([plan.wanted.ids for plan in self._ahead]), error)
            if self._decode == "cpu" or isinstance(found, DataError):
                return found
        for plan in self._ahead:
            for row, sample_id in enumerate(plan.wanted.ids.tolist()):
                if refused(self._split, sample_id) or not self._succeeds(plan.wanted.one(row)):
                    return blamed(self._split, sample_id)
        return unexplained(error)

    def _succeeds(self, wanted: Wanted) -> bool:
        inputs = self._inputs(wanted)
        try:
            self._built(lambda: inputs, 1, 1).run()
        except (RuntimeError, MemoryError):
            return False
        return True
