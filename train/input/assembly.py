"""Assembles the input. Runs, evaluation and `Loader` all build their ImagePipeline and Feed through this module."""

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
    """Makes the batches that plans describe, from the images of a split, in this process.

    A plan has at most `max_batch` samples. `decode` and `interpolation` are values of the recipe's keys runtime.decode
    and augment.interpolation. If the cache `decoded` is given, pixels are read from this cache. Raises UsageError if
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
        """Return a feed of the batches of `plans`, which keeps up to `depth` batches ready.

        Close this feed before starting another one.
        """
        return Feed(self._pipeline, plans, self._accelerator, depth, self._waited)

    def _waited(self) -> float:
        """Return the time in seconds for which batches have waited for tars that were being fetched from a URL."""
        staged = self._split.staged if isinstance(self._split, Split) else None
        return staged.waited if staged else 0.0

    def images(self, plans: Iterator[Plan]) -> Iterator[tuple[Plan, Tensor]]:
        """Yield each plan with its resized images, uint8 (b, size, size, 3), before augmentation and upload."""
        return self._pipeline.run(plans)

    def part(self, part: Part) -> Taken[Plan]:
        """Return an object that runs only the pipeline's stages up to `part`, for timing.

        Close the object after use.
        """
        return build_part(
            part, self._split, self._max_batch, self._accelerator, threads=self._threads, decode=self._decode
        )

    def close(self) -> None:
        """End the threads of the pipeline. Close the feed before calling this."""
        self._pipeline.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
