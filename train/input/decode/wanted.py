"""Defines requests to the pipeline: the images of some samples, each cut to a view and resized."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from headrace.train.input.augment.views import Views


class Wanted(NamedTuple):
    """A request for images: the ids of the samples, the view of each, and the side of the resized views."""

    ids: NDArray[np.int64]  # (b,)
    views: Views
    size: int  # side of the square that each view is resized to, pixels

    def one(self, row: int) -> "Wanted":
        """Return a request for only the sample in this row of the request."""
        row_only = slice(row, row + 1)
        return Wanted(self.ids[row_only], self.views.only(row_only), self.size)


class Planned(Protocol):
    """An object that requests images, such as the plan of a batch. The pipeline yields this object with its images."""

    @property
    def wanted(self) -> Wanted:
        """The requested images."""


Some = TypeVar("Some", bound=Planned)


class Way(Protocol[Some]):
    """An object that makes images from plans: the pipeline, or one of its implementations."""

    def run(self, plans: Iterator[Some]) -> Iterator[tuple[Some, Tensor]]:
        """Yield each plan with its images, uint8 (b, size, size, 3) on the device, in the order of `plans`."""

    def close(self) -> None:
        """End the threads. Call this only when no run is in progress."""
