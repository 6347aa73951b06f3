"""Builds the input: the pipeline that makes images from JPEGs, and the feed that makes batches ahead of time.

Runs, evaluations and `Loader` all build their ImagePipeline and their Feed through this module.
"""

from collections.abc import Iterator
from typing import Self

from torch import Tensor

from headrace.shards.encoded import Encoded
from headrace.shards.shardset import Split
from headrace.train.input.decode.cached import Decoded
from headrace.train.input.decode.parts import Part, Taken, build_part
from headrace.train.input.decode.pipeline import ImagePipeline
from headrace.train.input.decode.placement import place_decoder
from headrace.train.input.feed import Feed
from headrace.train.input.plans import Plan
from headrace.train.machine.place import Place


class Input:
    """Makes batches from the images of a split, in this process.

    A plan lists the samples and the random draws of one batch. A plan has at most `max_batch` samples. `decode` and
    `interpolation` take the same values as the recipe's keys runtime.decode and augment.interpolation. `decoded` is a
    cache of decoded images; if it is given, images are read from the cache and not decoded. Raises UsageError if
    `decode` requests a GPU that does not exist.
    """

    def __init__(
        self,
        split: Encoded,
        max_batch: int,
        place: Place,
        *,
        decode: str = "auto",
        decoded: Decoded | None = None,
        interpolation: str = "bilinear",
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
            cubic=interpolation == "bicubic",
        )

    def feed(self, plans: Iterator[Plan], depth: int = 3) -> Feed:
        """Return a feed, whose thread makes the batches of `plans` and keeps up to `depth` of them ready.

        Close this feed before starting another one.
        """
        return Feed(self._pipeline, plans, self._accelerator, depth, self._waited)

    def _waited(self) -> float:
        """Return how many seconds batches have waited, in total, for tars that were being fetched from a URL."""
        staged = self._split.staged if isinstance(self._split, Split) else None
        return staged.waited if staged else 0.0

    def images(self, plans: Iterator[Plan]) -> Iterator[tuple[Plan, Tensor]]:
        """Yield each plan with its images, cropped and resized but not yet augmented: uint8 (b, size, size, 3)."""
        return self._pipeline.run(plans)

    def part(self, part: Part) -> Taken[Plan]:
        """Return an object that runs only the pipeline's stages up to `part`, for timing.

        Close the object after use.
        """
        return build_part(
            part, self._split, self._max_batch, self._accelerator, threads=self._threads, decode=self._decode
        )

    def close(self) -> None:
        """End the threads of the pipeline. Close any feed of this object first."""
        self._pipeline.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
