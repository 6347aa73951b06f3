"""Functions without numba give the same bits as their compiled counterparts."""

import os
import tempfile
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headrace.train.input.kernels import headers, plain, read, resize, scale, strips
from headrace.train.input.kernels.arguments import STRIP_ROWS, WORD, Boxes, Bytes, Integers, Stored, Sums
from headrace.train.input.kernels.jit import MISSING
from tests.prep.odd_jpegs import odd_jpeg

SIZES = st.integers(1, 40)


def test_compiled_ones_are_there() -> None:
    """Compiled functions exist; otherwise the other tests would compare a function with itself."""
    assert MISSING == ""


def drawn_boxes(draw: np.random.Generator, heights: Integers, widths: Integers, size: int) -> Boxes:
    """Draw any box of each image, resized to any sides that hold the square, cut anywhere, mirrored or not."""
    whole = np.stack([heights, widths], 1)
    sides = draw.integers(1, whole + 1)
    resized = draw.integers(size, size + 30, sides.shape)
    return Boxes(
        corners=draw.integers(0, whole - sides + 1),
        sides=sides,
        resized=resized,
        cut=draw.integers(0, resized - size + 1),
        mirrored=draw.random(len(heights)) < 0.5,
        cubic=bool(draw.random() < 0.5),
    )


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.integers(1, 12), SIZES, st.sampled_from([1, 4, 80, 300]))
def test_resized_boxes(seed: int, count: int, size: int, largest: int) -> None:
    """Any boxes of any images are equal, in batches of any size, wherever images begin and rows end."""
    draw = np.random.default_rng(seed)
    heights, widths = draw.integers(1, largest + 1, (2, count))
    pitches = 3 * (widths + draw.integers(0, 3, count))
    gaps = draw.integers(0, 9, count)
    ends = np.cumsum(gaps + heights * pitches)
    pixels = draw.integers(0, 256, ends[-1], np.uint8)
    boxes = drawn_boxes(draw, heights, widths, size)
    made, compiled = np.empty((2, count, size, 3 * size), np.uint8)
    resize.resize_boxes(pixels, ends - heights * pitches, pitches, boxes, compiled)
    plain.resize_boxes(pixels, ends - heights * pitches, pitches, boxes, made)
    assert (made == compiled).all()


@given(st.integers(0, 2**32), st.integers(0, 20), st.integers(1, 300), st.sampled_from([np.float32, np.float64]))
def test_scaled_rows(seed: int, count: int, width: int, dtype: type) -> None:
    """Products are rounded before the shift is added, in both number formats."""
    draw = np.random.default_rng(seed)
    pixels = draw.integers(0, 256, (count, width), np.uint8)
    factors, shift = draw.normal(size=(2, width)).astype(dtype)
    made: NDArray[np.floating]
    compiled: NDArray[np.floating]
    made, compiled = np.empty((2, count, width), dtype)
    scale.scale_rows(pixels, factors, shift, compiled)
    plain.scale_rows(pixels, factors, shift, made)
    assert made.tobytes() == compiled.tobytes()


@given(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=6), st.data())
def test_read_rows(bodies: list[bytes], data: st.DataObject) -> None:
    """Rows are equal, and the same batches are refused: changed bytes, no end marker, a truncated file."""
    files = [body + data.draw(st.sampled_from([b"\xff\xd9"] * 9 + [b""])) for body in bodies]
    sums = [crc32(file) ^ (data.draw(st.integers(0, 9)) == 0) for file in files]
    sizes = np.array([len(file) for file in files], np.int32)
    offsets = np.cumsum(sizes) - sizes
    missing = data.draw(st.sampled_from([0] * 5 + [1, 30]))
    made, compiled = np.full((2, len(files), int(sizes.max())), 7, np.uint8)
    with tempfile.TemporaryFile() as stream:
        stream.write(b"".join(files)[: int(sizes.sum()) - missing])
        stream.flush()
        given_ = np.full(len(files), stream.fileno()), offsets.astype(np.int64), sizes, np.array(sums, np.uint32)
        answer = plain.read_rows(*given_, made)
        assert answer == read.read_rows(*given_, compiled)
    assert not answer or (made == compiled).all()


@settings(max_examples=300)
@given(st.integers(0, 400), st.data())
def test_found_simple(number: int, data: st.DataObject) -> None:
    """The same files are found among odd files that are changed before the scan or truncated."""
    odd = bytearray(odd_jpeg(number).data)
    scan = odd.index(b"\xff\xda")
    for place in data.draw(st.lists(st.integers(0, scan + 8), max_size=2)):
        odd[place] = data.draw(st.sampled_from([0, 1, 3, 0x08, 0xC0, 0xC2, 0xC4, 0xC9, 0xDA, 0xE1, 0xFF]))
    file = bytes(odd[: data.draw(st.sampled_from([len(odd)] * 4 + [scan + 3, scan, 9, 3, 1]))])
    rows, sizes = np.frombuffer(file + b"\xff\xda\xff", np.uint8)[None].copy(), np.array([len(file)], np.int32)
    frame = odd.find(b"\xff\xc0")
    height, width = (np.array([int.from_bytes(odd[frame + at : frame + at + 2])], np.int32) for at in (5, 7))
    found = headers.find_simple(rows, sizes, height, width)
    assert found.tolist() == plain.find_simple(rows, sizes, height, width).tolist()


class Written:
    """Images in a file with the checksums of their strips, some of which are wrong."""

    def __init__(self, path: Path, seed: int, count: int, wrong: int) -> None:
        self.draw = draw = np.random.default_rng(seed)
        self.heights, self.widths = draw.integers(1, 70, count), draw.integers(1, 40, count)
        sizes = 3 * self.heights * self.widths
        images = [draw.integers(0, 256, size, np.uint8) for size in sizes]
        path.write_bytes(b"".join(image.tobytes() for image in images))
        self.descriptor = os.open(path, os.O_RDONLY)
        self.low, self.high = draw.integers(0, 2**32, (2, 3 * STRIP_ROWS * 40 // WORD), np.uint64)
        self.counts = -(-self.heights // STRIP_ROWS)
        self.sums = np.concatenate([self.sums_of(*each) for each in zip(images, self.widths, self.counts, strict=True)])
        self.sums[draw.integers(0, len(self.sums), wrong)] ^= np.uint64(1)
        self.starts = np.cumsum(sizes) - sizes

    def sums_of(self, image: Bytes, width: int, count: int) -> Sums:
        """Return the checksums of an image's strips from both functions."""
        padded = np.append(image, np.zeros(-len(image) % WORD, np.uint8)).view(np.uint64)
        made, compiled = np.zeros((2, count), np.uint64)
        plain.sum_strips(padded, 3 * STRIP_ROWS * width // WORD, self.low, self.high, made)
        strips.sum_strips(padded, 3 * STRIP_ROWS * width // WORD, self.low, self.high, compiled)
        assert (made == compiled).all()
        return made

    def stored(self) -> Stored:
        """Return the images for a reader that has not read any of them yet."""
        firsts = np.cumsum(self.counts) - self.counts
        places = (self.descriptor, self.starts, self.widths, self.heights, firsts)
        return Stored(*places, self.sums, self.low, self.high, np.zeros(len(self.sums), bool))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a file that every example writes again."""
    return tmp_path_factory.mktemp("plain") / "images"


@settings(max_examples=80)
@given(st.integers(0, 2**32), st.integers(1, 6), SIZES, st.integers(0, 2), st.booleans(), st.sampled_from([0, 1, 999]))
def test_strips(path: Path, seed: int, count: int, size: int, wrong: int, once: bool, cut: int) -> None:
    """Pixels, refused images and checked strips are the same, for resized images and for plain reads."""
    written = Written(path, seed, count, wrong)
    os.truncate(path, max(path.stat().st_size - cut, 0))
    draw, ids = written.draw, written.draw.integers(0, count, 8)
    heights, widths = written.heights[ids], written.widths[ids]
    boxes = drawn_boxes(draw, heights, widths, size)
    first = draw.integers(0, heights)
    last = draw.integers(first + 1, heights + 1)
    sizes = 3 * 70 * widths + 40
    starts = (np.cumsum(sizes) - sizes) // WORD * WORD
    answers = []
    for resized, unresized in ((plain.resize_strips, plain.read_strips), (resize.resize_strips, strips.read_strips)):
        stored, made = written.stored(), np.zeros((8, size, 3 * size), np.uint8)
        failed = resized(stored, once, ids, boxes, made)
        held = np.zeros(int(sizes.sum()), np.uint8)
        unread = unresized(stored, once, ids, first, last, starts, held)
        answers.append(
            (failed, made[: failed % 9].tobytes(), unread, held.tobytes() * (unread < 0), stored.sound.tolist())
        )
    os.close(written.descriptor)
    assert answers[0] == answers[1]
