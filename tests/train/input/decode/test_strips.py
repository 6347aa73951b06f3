"""Strips of decoded images: any damage to bytes that are read is found, and only needed strips are read."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.train.input.augment.views import Crop, Samples, centre_views, train_views
from headrace.train.input.decode.arrays import Images
from headrace.train.input.decode.crop_resize import resample
from headrace.train.input.decode.regions import Regions
from headrace.train.input.decode.strips import Keys, Strips, strip_sums
from headrace.train.input.kernels.arguments import STRIP_ROWS
from tests.train.pictures import Pixels

shapes = st.lists(st.tuples(st.integers(1, 70), st.integers(1, 40)), min_size=1, max_size=6)


class HarmedError(Exception):
    """Raised in these tests; its argument is the id of the image."""


class Stored:
    """Images of these heights and widths in a file, with their strips."""

    def __init__(self, path: Path, shapes: list[tuple[int, int]], *, once: bool = False) -> None:
        draw = np.random.default_rng(len(shapes))
        self.images = [draw.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]
        self.heights, self.widths = np.array(shapes).T
        self.path, gap = path, 5  # bytes: images begin anywhere
        path.write_bytes(b"".join(bytes(gap) + image.tobytes() for image in self.images))
        self.starts = np.cumsum([gap + image.size for image in self.images]) - [image.size for image in self.images]
        keys = Keys.for_widths(self.widths)
        sums = [strip_sums(image, keys) for image in self.images]
        numbers = np.cumsum([len(one) for one in sums]) - [len(one) for one in sums]
        self.descriptor = os.open(path, os.O_RDONLY)
        places = (self.starts, self.widths, self.heights, numbers, np.concatenate(sums))
        self.strips = Strips(self.descriptor, *places, once=once, explain=HarmedError)

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)

    def harm(self, image: int, first: int, change: Callable[[Pixels], Pixels], size: int = 1) -> None:
        """Change bytes of an image in the file."""
        data = np.fromfile(self.path, np.uint8)
        at = int(self.starts[image]) + first
        data[at : at + size] = change(data[at : at + size])
        with self.path.open("r+b") as stream:
            stream.write(data.tobytes())

    def read(self, image: int, first: int, last: int) -> Pixels:
        """Return these rows of an image."""
        region = Regions(np.array([[first, 0]], np.int32), np.array([[last - first, 1]], np.int32))
        images, part = self.strips.read(np.array([image]), region)
        top = int(part.start[0, 0])
        return images.arrays()[0][first - top : last - top]


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Stored]:
    """Return an image of 70 rows in five strips, which are checked at each read."""
    made = Stored(tmp_path / "one", [(70, 9)])
    yield made
    made.close()


@settings(deadline=None, max_examples=60)
@given(shapes, st.data())
def test_what_is_read_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, shapes: list[tuple[int, int]], data: st.DataObject
) -> None:
    """For any rows of images of any shape, in any order, at most the rest of their strips is read too."""
    stored = Stored(tmp_path_factory.mktemp("strips") / "images", shapes)
    ids = np.array(data.draw(st.lists(st.integers(0, len(shapes) - 1), min_size=1, max_size=8)))
    first = np.array([data.draw(st.integers(0, shapes[image][0] - 1)) for image in ids])
    last = np.array([data.draw(st.integers(one + 1, shapes[image][0])) for one, image in zip(first, ids, strict=True)])
    regions = Regions(np.stack([first, 0 * first], 1).astype(np.int32), np.stack([last - first, 0 * first + 1], 1))
    images, part = stored.strips.read(ids, regions)
    stored.close()
    for image, rows, (top, left), (height, width) in zip(
        ids, images.arrays(), part.start.tolist(), part.sides.tolist(), strict=True
    ):
        assert (left, width) == (0, shapes[image][1])
        assert (rows == stored.images[image][top : top + height]).all()
    tops, bottoms = part.start[:, 0], part.start[:, 0] + part.sides[:, 0]
    assert ((tops <= first) & (first < tops + STRIP_ROWS)).all()
    assert ((last <= bottoms) & (bottoms < last + STRIP_ROWS)).all()


@settings(deadline=None, max_examples=40)
@given(shapes, st.integers(1, 50), st.integers(0, 1000))
def test_views_are_those_of_images_in_memory(
    tmp_path_factory: pytest.TempPathFactory, shapes: list[tuple[int, int]], size: int, seed: int
) -> None:
    """Crops and central squares have the bits of images in memory, for any shapes in the batch."""
    stored = Stored(tmp_path_factory.mktemp("strips") / "images", shapes)
    ids = np.arange(len(shapes))[::-1].copy()
    samples = Samples(0 * ids, ids, stored.widths[ids], stored.heights[ids])
    in_memory = Images.of([stored.images[image] for image in ids])
    for views in (
        train_views(Crop((0.08, 1.0), (3 / 4, 4 / 3), 0.5), seed, samples),
        centre_views(0.875, size, samples.widths, samples.heights),
    ):
        assert (stored.strips.resample(ids, views, size) == resample(in_memory, views, size)).all()
    stored.close()


def flipped(bit: int) -> Callable[[Pixels], Pixels]:
    """Return a change that flips one bit of each byte."""
    return lambda data: data ^ np.uint8(1 << bit)


@settings(deadline=None, max_examples=200)
@given(
    st.integers(0, 70 * 9 * 3 - 1), st.integers(1, 300), st.sampled_from(["inverted", "zeros", "moved", *"01234567"])
)
def test_any_harm_is_found(tmp_path_factory: pytest.TempPathFactory, first: int, size: int, kind: str) -> None:
    """Flipped bits, inverted pixels, zeros and moved pixels are found when they are read, and only then."""
    stored = Stored(tmp_path_factory.mktemp("strips") / "image", [(70, 9)])
    changes: dict[str, Callable[[Pixels], Pixels]] = {
        "inverted": np.invert,
        "zeros": np.zeros_like,
        "moved": lambda data: np.roll(data, 3),
    }
    size = min(size, stored.images[0].size - first)
    stored.harm(0, first, changes.get(kind) or flipped(int(kind)), size)
    pitch, seen = 9 * 3, np.fromfile(stored.path, np.uint8)[5:]
    changed = np.flatnonzero(seen != stored.images[0].reshape(-1)) // pitch // STRIP_ROWS
    for strip in range(5):
        row = min(strip * STRIP_ROWS + 3, 69)
        if strip in changed:
            with pytest.raises(HarmedError, match=r"^0$"):
                stored.read(0, row, row + 1)
        else:
            assert (stored.read(0, row, row + 1) == stored.images[0][row]).all()
    stored.close()


def test_resizing_reads_only_the_strips_that_are_seen(stored: Stored) -> None:
    """Damage above and below a view is not noticed, also if whole images are resized first; damage in it is."""
    crop = train_views(Crop((0.999, 1.0), (1.0, 1.0), 0.0), 0, Samples(*np.array([[0], [0], [9], [70]])))
    central = centre_views(1.0, 9, np.array([9]), np.array([70]))  # 9 rows of 70 in both: 30 to 40
    for row in (0, 15, 48, 69):
        stored.harm(0, row * 27, np.invert)
    for views in (crop, central):
        assert stored.strips.resample(np.array([0]), views, 9).shape == (1, 9, 9, 3)
    stored.harm(0, 47 * 27, np.invert)
    for views in (crop, central):
        with pytest.raises(HarmedError):
            stored.strips.resample(np.array([0]), views, 9)


@pytest.mark.parametrize("once", [False, True])
def test_when_a_strip_is_checked(tmp_path: Path, once: bool) -> None:
    """A strip is checked at each read, or only at the first read of that strip."""
    stored = Stored(tmp_path / "one", [(70, 9)], once=once)
    stored.read(0, 0, 16)
    stored.harm(0, 0, np.invert)
    stored.harm(0, 16 * 27, np.invert)
    if once:
        assert stored.read(0, 0, 1)[0, 0, 0] != stored.images[0][0, 0, 0]
    else:
        with pytest.raises(HarmedError):
            stored.read(0, 0, 1)
    for _ in range(2):
        with pytest.raises(HarmedError):
            stored.read(0, 16, 17)
    stored.close()


@pytest.mark.parametrize("left", [0, 5, 100, 5 + 70 * 27 - 1])
def test_file_that_was_cut(stored: Stored, left: int) -> None:
    """Missing rows are an error, not a signal."""
    os.truncate(stored.path, left)
    with pytest.raises(HarmedError):
        stored.read(0, 69, 70)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 255))
def test_sums_are_nhs(height: int, width: int, seed: int) -> None:
    """Checksums equal the paper's definition in Python integers, with zeros after the last byte and SHAKE-256 keys."""
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    keys = Keys.for_widths(np.array([width, 12]))
    low, high = keys.low.tolist(), keys.high.tolist()
    found = strip_sums(image, keys)
    assert len(found) == -(-height // STRIP_ROWS)
    for strip, one in enumerate(found.tolist()):
        data = image[strip * STRIP_ROWS : (strip + 1) * STRIP_ROWS].tobytes()
        words = [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)] + [0]
        pairs = zip(words[0::2], words[1::2], low, high, strict=False)
        assert one == sum((a + k) % 2**32 * ((b + h) % 2**32) for a, b, k, h in pairs) % 2**64


def test_keys_hold_still() -> None:
    """Keys never change, because caches outlive versions; keys of narrow images are the first keys of wide images."""
    narrow, wide = Keys.for_widths(np.array([3])), Keys.for_widths(np.array([3, 64]))
    assert (len(narrow.low), len(wide.low)) == (18, 384)
    assert (wide.low[:18] == narrow.low).all()
    assert [hex(number) for number in (narrow.low[0], narrow.high[0], wide.high[383])] == [
        "0x19ee4b3e",
        "0x1af8a020",
        "0x8d5253d9",
    ]
