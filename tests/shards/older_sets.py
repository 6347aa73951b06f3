"""Shard sets as older versions made them, with images that prep no longer admits."""

from pathlib import Path

import pytest

from headrace.prep import convert
from headrace.prep.command.options import Options
from headrace.prep.images.admit import Admitted, admit
from headrace.prep.make import shard
from tests.prep.contents import as_folder, small
from tests.prep.odd_jpegs import after_start, exif

KEY = "000000003"  # of the image that must not be decoded


def older_set(folder: Path, *segments: bytes, source: Path | None = None) -> Path:
    """A shard set of `source`, or of 18 training and 6 validation samples; one has these segments before its own.

    Nothing is noted of it in the user's cache.
    """
    source, root = source or as_folder(small(), folder / "source"), folder / "set"

    def without_a_look(data: bytes, *_: object) -> Admitted:
        plain = admit(data)
        seen.append(data)
        return plain._replace(jpeg=after_start(data, *segments)) if len(seen) == int(KEY) + 1 else plain

    seen: list[bytes] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard, "admit", without_a_look)
        patch.setattr(shard, "_row", _row)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache of the older version"))
        convert.prep(source, root, Options(), workers=1, if_exists="error", say=print)
    return root


ROW = shard._row


def _row(shard: int, offset: int, label: int, image: Admitted, source: tuple[int, int]) -> object:
    """The row with the CRC-32 of the stored bytes."""
    return ROW(shard, offset, label, image._replace(change="of these bytes"), source)


TWO_EXIF = (exif(6), exif(3))
