"""Decodes small JPEGs as a whole with libjpeg-turbo, into memory that is reused from batch to batch.

The package simplejpeg decodes one image at a time. If the system has libturbojpeg, that library is used instead, and
decodes a whole batch in one call. Only files for which libjpeg-turbo gives exactly DALI's pixels are decoded here; DALI
decodes all others (docs/decisions/0027).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from simplejpeg import decode_jpeg

from headrace.train.input.decode.arrays import Images, Jpegs
from headrace.train.input.decode.turbo_library import SystemDecoder, system_library
from headrace.train.input.kernels.headers import find_simple
from headrace.train.input.kernels.plain import is_simple

MOST_PIXELS = 1 << 14
"""An image is small if it has at most this many pixels. For larger images DALI is as fast, because it decodes only the
visible region."""


class Files(NamedTuple):
    """The bytes of n files, with the lengths, heights and widths that the index states."""

    jpegs: Jpegs
    sizes: NDArray[np.int32]  # (n,), bytes
    heights: NDArray[np.int32]  # (n,), pixels of the upright image
    widths: NDArray[np.int32]  # (n,)

    def only(self, rows: NDArray[np.int64]) -> "Files":
        """Return the files in these rows. If `rows` includes all files, return this object itself."""
        if len(rows) == len(self.sizes):
            return self
        some = self.jpegs[rows] if isinstance(self.jpegs, np.ndarray) else [self.jpegs[row] for row in rows]
        return Files(some, self.sizes[rows], self.heights[rows], self.widths[rows])

    def small(self) -> NDArray[np.bool_]:
        """Return a mask (n,): True for small images whose headers all decoders understand in the same way.

        The mask is False if a file's header does not match the index.
        """
        few = self.heights.astype(np.int64) * self.widths <= MOST_PIXELS
        if not few.any():
            return few
        if isinstance(self.jpegs, np.ndarray):
            return few & find_simple(self.jpegs, self.sizes, self.heights, self.widths)
        columns = zip(self.jpegs, few.tolist(), self.heights.tolist(), self.widths.tolist(), strict=True)
        return np.array([small and is_simple(jpeg.tobytes(), *sides) for jpeg, small, *sides in columns], np.bool_)

    def bytes_of(self, row: int) -> NDArray[np.uint8]:
        """Return one file without the zeros that follow it in its row, because such zeros would hide a truncation."""
        return self.jpegs[row][: self.sizes[row]]


class TurboDecoder:
    """Decodes the small JPEGs of one batch at a time, in the caller's thread."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)
        library = system_library()
        self._together = SystemDecoder(library) if library else None

    def __call__(self, files: Files) -> tuple[NDArray[np.bool_], Images]:
        """Decode small files. Return a mask (n,) of the files that were decoded, and their images.

        The images are in memory that the next batch reuses. If libjpeg-turbo gives any warning about a file, the mask
        is False for this file, and DALI must decode it instead.
        """
        taken = files.small()
        heights, widths = files.heights.astype(np.int64), files.widths.astype(np.int64)
        ends = np.cumsum(3 * heights * widths * taken)
        starts = ends - 3 * heights * widths
        self._have_room_for(int(ends[-1]))
        if self._together and isinstance(files.jpegs, np.ndarray):
            sides = files.heights, files.widths
            self._together(files.jpegs, files.sizes, starts, sides, taken, self._memory)
        else:
            self._one_by_one(files, taken, starts, ends)
        return taken, Images(self._memory, starts[taken], heights[taken], widths[taken])

    def _one_by_one(
        self, files: Files, taken: NDArray[np.bool_], starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> None:
        memory, rows = self._memory.data, np.flatnonzero(taken)
        for row, start, end in zip(rows.tolist(), starts[rows].tolist(), ends[rows].tolist(), strict=True):
            try:
                decode_jpeg(files.bytes_of(row), "RGB", buffer=memory[start:end], strict=True)
            except ValueError:
                taken[row] = False

    def _have_room_for(self, size: int) -> None:
        if len(self._memory) < size:
            self._memory = np.empty(0, np.uint8)  # released before more is requested
            self._memory = np.empty(size, np.uint8)
