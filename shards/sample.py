"""What is known of one sample, as a row of numbers: the columns of the Parquet index.

*sample*: key, JPEG, label. Its id is its row in its split, which is also its place in the tars in order.
"""

import numpy as np
from numpy.typing import NDArray

# Widths and heights are those of the upright image: after the EXIF orientation is applied.
ROW = np.dtype(
    [
        ("shard", "<i4"),  # number of the tar in its split
        ("offset", "<i8"),  # first byte of the JPEG in the tar
        ("size", "<i4"),  # bytes of the JPEG
        ("label", "<i4"),  # position in the class list
        ("width", "<i4"),
        ("height", "<i4"),
        ("crc32", "<u4"),  # of the JPEG; checked at every read
        ("sha256", "u1", (32,)),  # of the JPEG; finds equal images
        ("source_size", "<i8"),  # bytes of the source file that the JPEG comes from
        ("source_crc32", "<u4"),  # of that file; the fingerprint of the source is made of these
    ]
)
Rows = NDArray[np.void]


def key_of(position: int) -> str:
    """The key of the sample that the plan puts at `position` of its split. No dots: they would end a key."""
    return f"{position:09d}"
