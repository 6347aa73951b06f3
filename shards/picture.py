"""One sample to look at: its key, its JPEG and its label; its pixels are decoded on request."""

import io
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.shards import jpeg as jpegs
from headrace.shards.errors import DataError, UsageError

if TYPE_CHECKING:
    from PIL import Image

# Arguments of Pillow's transpose that make a stored image upright, by EXIF orientation.
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


class Picture(NamedTuple):
    """A sample of a split."""

    key: str
    jpeg: bytes
    label: int  # position in the set's `class_ids`

    def image(self) -> "Image.Image":
        """The upright RGB image, decoded by Pillow.

        Raises DataError if the image does not decode, UsageError if it has more pixels than Pillow allows.
        """
        from PIL import Image  # noqa: PLC0415  needed only to look at an image

        try:
            found = Image.open(io.BytesIO(self.jpeg)).convert("RGB")
        except Image.DecompressionBombError as error:
            raise UsageError(f"key {self.key}: {error}. Raise PIL.Image.MAX_IMAGE_PIXELS to decode it") from error
        except (OSError, ValueError, SyntaxError) as error:
            raise DataError(f"key {self.key}: the image does not decode: {error}") from error
        turn = _TURNS.get(jpegs.orientation(self.jpeg, jpegs.read_headers(self.jpeg)))
        return found.transpose(Image.Transpose[turn]) if turn else found

    def array(self) -> NDArray[np.uint8]:
        """The upright image as an array, uint8 (height, width, 3)."""
        return np.array(self.image(), np.uint8)
