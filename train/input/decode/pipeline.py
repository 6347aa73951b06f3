"""Turns encoded bytes and views into resized uint8 images: on the CPU, from the decoded cache, or on a GPU."""

from collections.abc import Iterator
from typing import Generic

from torch import Tensor

from headrace.shards.encoded import Encoded
from headrace.train.input.decode.cached import Decoded
from headrace.train.input.decode.gpu import OnGpu
from headrace.train.input.decode.lanes import Lanes
from headrace.train.input.decode.wanted import Some, Way
from headrace.train.machine.device import Accelerator

_OTHER_THREADS = 2  # of a rank with a GPU: one for the step, which launches kernels, and one for the feed


def threads_beside(threads: int) -> int:
    """Return how many of the CPU `threads` of a rank with a GPU may decode.

    The other threads are kept free for the training step and the feed.
    """
    return max(1, threads - _OTHER_THREADS)


class ImagePipeline(Generic[Some]):
    """Decodes the samples of a split and resizes their views, on the CPU or on the GPU of `accelerator`.

    `threads` is the number of CPU threads. `decode` says where JPEGs are decoded: "cpu", or "mixed" (nvJPEG on the
    GPU). If the cache `decoded` is given, images are read from the cache instead, and have the same pixels as with
    "cpu". `cubic` selects bicubic filters instead of bilinear ones.
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
        cubic: bool = False,
    ) -> None:

        def on_cpu() -> Way[Some]:
            if decoded is None:
                return _OnCpu(split, max_batch, threads, cubic=cubic)
            return _FromCache(decoded, threads, cubic=cubic)

        def on_gpu() -> Way[Some]:
            beside = threads_beside(threads)
            return OnGpu(split, max_batch, accelerator, threads=beside, decode=decode, decoded=decoded, cubic=cubic)

        self._running = False
        self._way = accelerator.either(cpu=on_cpu, gpu=on_gpu)()

    def run(self, plans: Iterator[Some]) -> Iterator[tuple[Some, Tensor]]:
        """Yield each plan with its images, uint8 (b, size, size, 3) on the device, in the order of `plans`.

        Raises DataError, which names the sample, if a sample's bytes changed or do not decode. On a GPU, the error may
        be raised one batch too early, because DALI requests input ahead. After a run that failed or was not read to its
        end, the pipeline cannot be used again.
        """
        if self._running:
            raise RuntimeError(
                "an earlier run of this pipeline did not finish, and left batches in it: make a new pipeline"
            )
        self._running = True
        yield from self._way.run(plans)
        self._running = False

    def close(self) -> None:
        """End the threads. If a run is unfinished, its remaining batches are lost."""
        self._way.close()


class _OnCpu(Generic[Some]):
    """Makes images on a CPU: each lane (thread) makes whole batches, from files to pixels (docs/decisions/0017)."""

    def __init__(self, split: Encoded, max_batch: int, threads: int, *, cubic: bool) -> None:
        from headrace.train.input.decode.cpu import OnCpu, lanes_on_cpu, mean_bytes  # noqa: PLC0415  a run on a GPU needs no numba

        lanes, each = lanes_on_cpu(threads, max_batch * mean_bytes(split))
        self._lanes: Lanes[Some, Tensor] = Lanes(lanes, lambda: OnCpu(split, max_batch, each, cubic=cubic))

    def run(self, plans: Iterator[Some]) -> Iterator[tuple[Some, Tensor]]:
        return self._lanes.run(plans)

    def close(self) -> None:
        self._lanes.close()


class _FromCache(Generic[Some]):
    """Makes images from the decoded cache: lanes (threads) read, check and resize its images."""

    def __init__(self, decoded: Decoded, threads: int, *, cubic: bool) -> None:
        def resized(plan: Some) -> Tensor:
            return decoded.resample(*plan.wanted, cubic=cubic)

        self._lanes: Lanes[Some, Tensor] = Lanes(threads, lambda: resized)

    def run(self, plans: Iterator[Some]) -> Iterator[tuple[Some, Tensor]]:
        return self._lanes.run(plans)

    def close(self) -> None:
        self._lanes.close()
