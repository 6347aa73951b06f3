"""Contact sheets: images with text beside or below them, as one PNG. Pillow draws the text and writes the file."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from headrace.shards import store
from headrace.shards.errors import UsageError
from headrace.shards.paths import refuse_without_folder

SIDE, GAP = 64, 4  # pixels: side of an image's square, and gap between squares
INK, FAINT = (20, 20, 20), (120, 120, 120)
_PAPER = (255, 255, 255)
_COLUMNS, _TILE, _LINE = 6, 168, 14  # of a sheet of tiles; width of a tile and height of a line in pixels
_CUT = 27  # characters that fit below a tile
_HEAD = 36  # pixels for the title


class Tile(NamedTuple):
    """An image, uint8 (height, width, 3), and the lines below it. If the image is None, its place is empty."""

    pixels: NDArray[np.uint8] | None
    lines: tuple[str, ...]


class Sheet:
    """A white page for images and text; positions are (left, top) in pixels."""

    def __init__(self, width: int, height: int) -> None:
        self._page = Image.new("RGB", (width, height), _PAPER)
        self._pen = ImageDraw.Draw(self._page)

    def write(self, at: tuple[int, int], text: str, size: int, ink: tuple[int, int, int] = INK) -> None:
        """Write a line of text; unprintable characters become question marks."""
        shown = "".join(one if one.isprintable() else "?" for one in text)
        self._pen.text(at, shown, ink, ImageFont.load_default(size))

    def show(self, at: tuple[int, int], pixels: NDArray[np.uint8], side: int = SIDE) -> None:
        """Put an image at the centre of a square of `side` pixels, scaled so that its longer side has `side` pixels."""
        height, width, _ = pixels.shape
        longer = max(width, height)
        fitting = [max(1, (2 * one * side + longer) // (2 * longer)) for one in (width, height)]
        image = Image.fromarray(pixels).resize((fitting[0], fitting[1]), Image.Resampling.LANCZOS)
        self._page.paste(image, (at[0] + (side - image.width) // 2, at[1] + (side - image.height) // 2))

    def save(self, path: Path) -> None:
        """Write the PNG atomically."""
        out = io.BytesIO()
        self._page.save(out, "PNG")
        store.write_bytes(path, out.getvalue())


def refuse_name(path: Path) -> None:
    """Raise UsageError unless `path` is the name of a PNG in an existing folder."""
    refuse_without_folder(path)
    if path.suffix.lower() != ".png":
        raise UsageError(f"{path}: a contact sheet is a PNG. Give a name that ends with .png")


def write_tiles(path: Path, title: str, tiles: Sequence[Tile]) -> None:
    """Write a sheet of images with lines of text below each, six per row."""
    lines = max((len(tile.lines) for tile in tiles), default=0)
    high = _TILE + lines * _LINE
    rows = max(1, -(-len(tiles) // _COLUMNS))
    sheet = Sheet(_COLUMNS * _TILE + GAP, _HEAD + rows * high)
    sheet.write((8, 8), title, 15)
    for place, tile in enumerate(tiles):
        left, top = GAP + place % _COLUMNS * _TILE, _HEAD + place // _COLUMNS * high
        side = _TILE - 2 * GAP
        if tile.pixels is not None:
            sheet.show((left, top), tile.pixels, side)
        for number, line in enumerate(tile.lines):
            cut = line if len(line) <= _CUT else line[: _CUT - 3] + "..."
            sheet.write((left, top + side + number * _LINE), cut, 11, FAINT if number else INK)
    sheet.save(path)
