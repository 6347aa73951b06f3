from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headrace.shards.errors import UsageError
from headrace.shards.sheet import Tile, refuse_name, write_tiles

RED = np.full((40, 80, 3), (220, 30, 20), np.uint8)


def test_tiles_have_their_images_and_words(tmp_path: Path) -> None:
    """An image fills the width of its square, with text below it; a tile without an image has only text."""
    path = tmp_path / "a.png"
    write_tiles(path, "title", [Tile(RED, ("a", "b")), Tile(None, ("c\x1b",)), *[Tile(RED, ("d",))] * 6])
    page = np.asarray(Image.open(path)).astype(int)
    assert page.shape == (36 + 2 * (168 + 28), 6 * 168 + 4, 3)
    red = np.abs(page - RED[0, 0]).max(-1) < 8
    assert red.sum() == 7 * 160 * 80
    assert red[36 : 36 + 164, 4:164].sum() == 160 * 80
    assert not red[36 : 36 + 164, 172:332].any()
    assert (page[36 + 160 : 36 + 190, 172:332] < 100).any()


def test_sheet_without_tiles(tmp_path: Path) -> None:
    """A sheet without tiles is a page with its title."""
    write_tiles(tmp_path / "a.png", "no mistakes", [])
    assert (np.asarray(Image.open(tmp_path / "a.png"))[:36] < 100).any()


def test_thin_images_fit(tmp_path: Path) -> None:
    """An image one pixel high is drawn as a line."""
    write_tiles(tmp_path / "a.png", "", [Tile(np.zeros((1, 5000, 3), np.uint8), ())])
    assert (np.asarray(Image.open(tmp_path / "a.png")) < 8).all(-1).sum() == 160


def test_names_that_are_no_png(tmp_path: Path) -> None:
    """A file name that is not a PNG is refused before any work is done."""
    with pytest.raises(UsageError, match=r"ends with \.png"):
        refuse_name(tmp_path / "a.jpg")
    with pytest.raises(UsageError, match="does not exist"):
        refuse_name(tmp_path / "none" / "a.png")
