"""What is asked of the pipeline: the images of some samples, each cut to a view and resized."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from headrace.train.input.augment.views import Views


class Wanted(NamedTuple):
    """Which samples, what is seen of each, and how large the results are."""

    ids: NDArray[np.int64]  # (b,)
    views: Views
    size: int  # side of the square that each view is resized to, pixels

    def one(self, row: int) -> "Wanted":
        """The same for one sample alone."""
        row_only = slice(row, row + 1)
        return Wanted(self.ids[row_only], self.views.only(row_only), self.size)


class Planned(Protocol):
    """Anything that wants images, such as the plan of a batch. The pipeline hands it back beside them."""

    @property
    def wanted(self) -> Wanted:
        """Its images."""


Some = TypeVar("Some", bound=Planned)


class Way(Protocol[Some]):
    """A way from plans to images: the pipeline, and each of its ways on its own."""

    def run(self, plans: Iterator[Some]) -> Iterator[tuple[Some, Tensor]]:
        """Each plan with its images, uint8 (b, size, size, 3) on the device, in the order of `plans`."""

    def close(self) -> None:
        """End its threads. No run is in its middle."""
