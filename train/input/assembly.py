"""The input put together. Nothing else builds an ImagePipeline or a Feed: runs, evaluation and `Loader` take this."""

from collections.abc import Iterator
from typing import Self

from torch import Tensor

from headrace.shards.encoded import Encoded
from headrace.train.input.decode.cached import Decoded
from headrace.train.input.decode.parts import Part, Taken, build_part
from headrace.train.input.decode.pipeline import ImagePipeline
from headrace.train.input.decode.placement import place_decoder
from headrace.train.input.feed import Feed
from headrace.train.input.plans import Plan
from headrace.train.machine.place import Place


class Input:
    """Makes batches of a split in this process, from whichever plans it is given.

    A plan has at most `max_batch` samples. `decode` is that of a recipe's runtime section; pixels come from the
    `decoded` cache if there is one. Raises UsageError where `decode` asks for a GPU that is not there.
    """

    def __init__(
        self, split: Encoded, max_batch: int, place: Place, *, decode: str = "auto", decoded: Decoded | None = None
    ) -> None:
        self._accelerator = place.accelerator
        self._split, self._max_batch, self._threads = split, max_batch, place.threads
        self._decode = place_decoder(decode, split, place.accelerator).where
        self._pipeline: ImagePipeline[Plan] = ImagePipeline(
            split,
            max_batch,
            place.accelerator,
            threads=self._threads,
            decode=self._decode,
            decoded=decoded,
        )

    def feed(self, plans: Iterator[Plan], depth: int = 3) -> Feed:
        """The batches of `plans`, in order, `depth` of them ahead. One feed at a time; close it before the next."""
        return Feed(self._pipeline, plans, self._accelerator, depth)

    def images(self, plans: Iterator[Plan]) -> Iterator[tuple[Plan, Tensor]]:
        """Each plan with its images as they are resized, uint8 (b, size, size, 3), without changes and uploads."""
        return self._pipeline.run(plans)

    def part(self, part: Part) -> Taken[Plan]:
        """The first part of what makes these batches, with threads of its own, to be timed. Close it."""
        return build_part(
            part, self._split, self._max_batch, self._accelerator, threads=self._threads, decode=self._decode
        )

    def close(self) -> None:
        """End the threads. The feed has been closed."""
        self._pipeline.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
