"""Makes small pictures for HTML pages with Pillow: photographs as JPEG, tables of colours as PNG."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 96  # largest side in pixels
_QUALITY = 80


def thumbnail(pixels: NDArray[np.uint8]) -> bytes:
    """An image, uint8 (height, width, 3), as a JPEG whose sides are at most SIDE; a smaller image keeps its size."""
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY, subsampling=0)
    return out.getvalue()


def palette_png(indexes: NDArray[np.uint8], colours: NDArray[np.uint8]) -> bytes:
    """A PNG of the pixels `colours[indexes]`: indexes are uint8 (height, width), colours uint8 (entries, 4) in RGBA."""
    image = Image.fromarray(indexes, "P")
    image.putpalette(colours[:, :3].tobytes())
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True, transparency=colours[:, 3].tobytes())
    return out.getvalue()
