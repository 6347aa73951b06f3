"""A text column of a large split: each row group of the index is read when a text in it is requested."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, overload

import numpy as np

from headrace.shards.index import Index
from headrace.shards.manifest import SplitInfo


class Texts(Sequence[str]):
    """The texts of a column, `key` or `source`; row groups that were read stay in memory, in Arrow's format.

    If the index is damaged, a request for a text raises DataError.
    """

    def __init__(self, root: Path, split: SplitInfo, column: str) -> None:
        self._root, self._split, self._column = root, split, column
        self._groups: dict[int, Any] = {}
        self._ends: list[int] = []

    def __len__(self) -> int:
        return self._split.samples

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> list[str]: ...

    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        sample_id = range(len(self))[place]
        number = int(np.searchsorted(self._bounds(), sample_id, side="right"))
        text: str = self._group(number)[sample_id - (self._ends[number - 1] if number else 0)].as_py()
        return text

    def __iter__(self) -> Iterator[str]:
        for number in range(len(self._bounds())):
            yield from self._group(number).to_pylist()

    def _bounds(self) -> list[int]:
        """The end (last id plus one) of each row group."""
        if not self._ends:
            with closing(Index(self._root, self._split.index)) as index:
                self._ends = np.cumsum(index.group_rows).tolist()
        return self._ends

    def _group(self, number: int) -> Any:
        if number not in self._groups:
            with closing(Index(self._root, self._split.index)) as index:
                # a file with a single sum is read as a whole anyway
                wanted = range(len(self._bounds())) if self._split.index.parts is None else (number,)
                self._groups |= {one: index.read((self._column,), one)[self._column] for one in wanted}
        return self._groups[number]
