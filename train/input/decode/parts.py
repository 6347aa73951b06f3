"""Runs only the first stages of the image pipeline, for timing.

A *part* of the pipeline runs all stages up to a given stage, with as many threads as the whole pipeline, and discards
the result.
"""

from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Generic, Protocol

from headrace.shards.encoded import Encoded
from headrace.train.input.decode import dali
from headrace.train.input.decode.lanes import Lanes
from headrace.train.input.decode.wanted import Some
from headrace.train.machine.device import Accelerator


class Part(Enum):
    """The stage with which a part of the pipeline ends."""

    READ = "read"
    DECODE = "decode"
    COPY = "copy"  # decoded and copied to the GPU; a CPU has nothing to copy


class Taken(Protocol[Some]):
    """A part of the pipeline, which runs its stages for the images of each plan."""

    def run(self, plans: Iterator[Some]) -> Iterator[Some]:
        """Yield each plan, in order, after the stages have run for its images.

        Work on further plans starts only when the caller requests another plan.
        """

    def close(self) -> None:
        """End the threads of the part."""


def build_part(
    part: Part, split: Encoded, max_batch: int, accelerator: Accelerator, *, threads: int, decode: str
) -> Taken[Some]:
    """Return a part of the pipeline. All arguments except `part` have the same meaning as in `ImagePipeline`."""

    def on_cpu() -> Taken[Some]:
        return _OnCpu(part, split, max_batch, threads)

    def on_gpu() -> Taken[Some]:
        if part is Part.READ:
            return _Read(split)
        return _OnGpu(part, split, max_batch, accelerator, threads, decode)

    return accelerator.either(cpu=on_cpu, gpu=on_gpu)()


class _OnCpu(Generic[Some]):
    """Runs a part of the pipeline in the threads of `Lanes`, as the whole pipeline does on a CPU."""

    def __init__(self, part: Part, split: Encoded, max_batch: int, threads: int) -> None:
        from headrace.train.input.decode.cpu import OnCpu, lanes_on_cpu, mean_bytes  # noqa: PLC0415  a run on a GPU needs no numba

        def tool() -> Callable[[Some], object]:
            made = OnCpu(split, max_batch, each)
            return made.read if part is Part.READ else made.decode

        lanes, each = lanes_on_cpu(threads, max_batch * mean_bytes(split))
        self._lanes: Lanes[Some, object] = Lanes(lanes, tool)

    def run(self, plans: Iterator[Some]) -> Iterator[Some]:
        return (plan for plan, _ in self._lanes.run(plans))

    def close(self) -> None:
        self._lanes.close()


class _Read(Generic[Some]):
    """Only reads files, in the caller's thread, as the whole pipeline does for a GPU."""

    def __init__(self, split: Encoded) -> None:
        self._split = split

    def run(self, plans: Iterator[Some]) -> Iterator[Some]:
        for plan in plans:
            self._split.jpegs(plan.wanted.ids)
            yield plan

    def close(self) -> None:
        """Do nothing: there are no threads."""


class _OnGpu(Generic[Some]):
    """Runs a DALI graph that has only the first stages of the pipeline's graph."""

    def __init__(
        self, part: Part, split: Encoded, max_batch: int, accelerator: Accelerator, threads: int, decode: str
    ) -> None:
        self._split = split
        self._plans: Iterator[Some] = iter(())
        self._ahead: deque[Some] = deque()  # DALI requests input ahead of the batch that it returns
        self._graph = dali.decoding_alone(
            self._next_jpegs, max_batch, threads, device=accelerator.ordinal, decode=decode, copy=part is Part.COPY
        )

    def run(self, plans: Iterator[Some]) -> Iterator[Some]:
        self._plans = plans
        while True:
            try:
                self._graph.run()  # no stream is given, so the host waits for each batch
            except StopIteration:
                self._graph.reset()
                return
            yield self._ahead.popleft()

    def close(self) -> None:
        """Do nothing: the graph's threads end with the graph."""

    def _next_jpegs(self) -> object:
        plan = next(self._plans)
        self._ahead.append(plan)
        return self._split.jpegs(plan.wanted.ids)
