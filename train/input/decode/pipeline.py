"""Encoded bytes and views in, resized uint8 images out: on the CPU, from the decoded cache, or on a GPU."""

from collections.abc import Iterator
from typing import Generic

from torch import Tensor

from headrace.shards.encoded import Encoded
from headrace.train.input.decode.cached import Decoded
from headrace.train.input.decode.gpu import OnGpu
from headrace.train.input.decode.lanes import Lanes
from headrace.train.input.decode.wanted import Some, Way
from headrace.train.machine.device import Accelerator

_OTHER_THREADS = 2  # of a rank with a GPU: the training step's, which launches, and the feed's


def threads_beside(threads: int) -> int:
    """Of a rank's CPU threads, those that may decode: a GPU's step and feed must not wait for a core."""
    return max(1, threads - _OTHER_THREADS)


class ImagePipeline(Generic[Some]):
    """Decodes the samples of a split and resizes their views, on the CPU or on the GPU of `accelerator`.

    `threads` are CPU threads; `decode` places the JPEG decoder: "cpu", or "mixed" (nvJPEG on the GPU). Images that are
    `decoded` are taken as they are: the pixels are the same as with "cpu".
    """

    def __init__(
        self,
        split: Encoded,
        max_batch: int,
        accelerator: Accelerator,
        *,
        threads: int,
        decode: str,
        decoded: Decoded | None = None,
    ) -> None:

        def on_cpu() -> Way[Some]:
            return _OnCpu(split, max_batch, threads) if decoded is None else _FromCache(decoded, threads)

        def on_gpu() -> Way[Some]:
            return OnGpu(split, max_batch, accelerator, threads=threads_beside(threads), decode=decode, decoded=decoded)

        self._running = False
        self._way = accelerator.either(cpu=on_cpu, gpu=on_gpu)()

    def run(self, plans: Iterator[Some]) -> Iterator[tuple[Some, Tensor]]:
        """Each plan with its images, uint8 (b, size, size, 3) on the device, in the order of `plans`.

        Raises DataError when a sample's bytes changed or do not decode, naming it. On a GPU it may come a batch early:
        DALI asks for input ahead. A run that failed or was left in its middle is the pipeline's last.
        """
        if self._running:
            raise RuntimeError("an earlier run of this pipeline did not end: batches of it are still inside")
        self._running = True
        yield from self._way.run(plans)
        self._running = False

    def close(self) -> None:
        """End the threads. A run in its middle has been left."""
        self._way.close()


class _OnCpu(Generic[Some]):
    """Each lane takes a batch through from the files to the pixels (docs/decisions/0017)."""

    def __init__(self, split: Encoded, max_batch: int, threads: int) -> None:
        from headrace.train.input.decode.cpu import OnCpu, lanes_on_cpu, mean_bytes  # noqa: PLC0415  a run on a GPU needs no compiler of loops

        lanes, each = lanes_on_cpu(threads, max_batch * mean_bytes(split))
        self._lanes: Lanes[Some, Tensor] = Lanes(lanes, lambda: OnCpu(split, max_batch, each))

    def run(self, plans: Iterator[Some]) -> Iterator[tuple[Some, Tensor]]:
        return self._lanes.run(plans)

    def close(self) -> None:
        self._lanes.close()


class _FromCache(Generic[Some]):
    """All is decoded: what is left is to read, check and resize."""

    def __init__(self, decoded: Decoded, threads: int) -> None:
        def resized(plan: Some) -> Tensor:
            return decoded.resample(*plan.wanted)

        self._lanes: Lanes[Some, Tensor] = Lanes(threads, lambda: resized)

    def run(self, plans: Iterator[Some]) -> Iterator[tuple[Some, Tensor]]:
        return self._lanes.run(plans)

    def close(self) -> None:
        self._lanes.close()
