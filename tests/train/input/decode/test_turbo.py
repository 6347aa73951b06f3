"""Small JPEGs decoded by libjpeg-turbo have DALI's bits, and other files are left to DALI."""

import ctypes
import io
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from headrace.prep.images.admit import BadImageError, sides
from headrace.train.input.decode import turbo as turbo_module
from headrace.train.input.decode.arrays import Jpegs
from headrace.train.input.decode.dali import Decoder
from headrace.train.input.decode.regions import Regions
from headrace.train.input.decode.turbo import MOST_PIXELS, Files, TurboDecoder
from headrace.train.input.decode.turbo_library import NAME, system_library
from tests.prep.odd_jpegs import odd_jpeg
from tests.train import pictures
from tests.train.input.decode.test_regions import KINDS, OTHER_SAMPLINGS, coloured
from tests.train.pictures import Pixels, picture

SIDE = st.integers(1, 128)
Sides = list[tuple[int, int]]
Factors = tuple[tuple[int, int], ...]


def files_of(jpegs: list[bytes], heights_and_widths: Sides, *, rows: bool = True) -> Files:
    """Return the files of a batch, as rows of one array or as separate arrays."""
    heights, widths = np.array(heights_and_widths, np.int32).T
    arrays: Jpegs = [np.frombuffer(jpeg, np.uint8) for jpeg in jpegs]
    if rows:
        padded = np.zeros((len(jpegs), max(map(len, jpegs))), np.uint8)
        for row, file in zip(padded, arrays, strict=True):
            row[: len(file)] = file
        arrays = padded
    return Files(arrays, np.array([len(jpeg) for jpeg in jpegs], np.int32), heights, widths)


def turbo(files: Files) -> tuple[NDArray[np.bool_], list[Pixels]]:
    """Return which files are decoded, and copies of their images, after a comparison with the system's library."""
    with mock.patch.object(turbo_module, "system_library", return_value=None):
        alone = TurboDecoder()
    done, images = alone(files)
    copies = [image.copy() for image in images.arrays()]
    if system_library():
        together, others = TurboDecoder()(files)
        assert together.tolist() == done.tolist()
        assert same(copies, list(others.arrays()))
    return done, copies


def dali(jpegs: list[bytes], heights_and_widths: Sides) -> list[Pixels]:
    """Return whole images as DALI decodes them."""
    heights, widths = np.array(heights_and_widths, np.int32).T
    files = [np.frombuffer(jpeg, np.uint8) for jpeg in jpegs]
    images = Decoder(len(jpegs), 1)(files, Regions.whole(heights, widths))
    return [image.copy() for image in images.arrays()]


def same(one: list[Pixels], other: list[Pixels]) -> bool:
    """Whether all images have the same bits."""
    return all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize("kind", [*KINDS, *OTHER_SAMPLINGS, "L", "CMYK"])
@settings(deadline=None, max_examples=25)
@given(width=SIDE, height=SIDE, rows=st.booleans())
def test_every_kind_has_the_same_bits(kind: str, width: int, height: int, rows: bool) -> None:
    """Bits are equal for any chroma subsampling, sides and scans; files with EXIF or four colours are skipped."""
    jpeg = coloured(width, height, kind)
    upright = (width, height) if "turned" in kind else (height, width)
    done, images = turbo(files_of([jpeg] * 2, [upright] * 2, rows=rows))
    assert done.tolist() == [kind != "CMYK" and "turned" not in kind] * 2
    assert same(images, dali([jpeg] * int(done.sum()), [upright] * int(done.sum())) if done.any() else [])


def test_odd_files_have_the_same_bits() -> None:
    """Odd files that prep admits unchanged have the same bits; most of those without EXIF are decoded here."""
    jpegs, places = [], []
    for number in range(400):
        odd = odd_jpeg(number)
        try:
            wide, high = sides(odd.data)
        except BadImageError:
            continue
        jpegs.append(odd.data)
        places.append((high, wide))
    done, images = turbo(files_of(jpegs, places, rows=False))
    assert len(jpegs) > 150
    assert 30 < done.sum() < len(jpegs)
    taken = np.flatnonzero(done).tolist()
    assert same(images, dali([jpegs[row] for row in taken], [places[row] for row in taken]))


SAMPLINGS: dict[
    Factors, bool
] = {  # factors (across, down) of the three colours, and whether libjpeg-turbo has a name for them
    ((2, 2), (1, 1), (1, 1)): True,
    ((2, 1), (1, 1), (1, 1)): True,
    ((1, 2), (1, 1), (1, 1)): True,
    ((4, 1), (1, 1), (1, 1)): True,
    ((1, 4), (1, 1), (1, 1)): True,
    ((2, 1), (1, 2), (1, 2)): False,
    ((1, 1), (2, 2), (1, 1)): False,
    ((1, 1), (1, 1), (4, 1)): False,
    ((1, 1), (2, 1), (1, 1)): False,
    ((1, 1), (1, 1), (1, 2)): False,
}


def resampled(width: int, height: int, factors: Factors) -> tuple[bytes, int, int]:
    """Return a file with these factors and the blocks of another file, and its height and width."""
    blocks = sum(across * down for across, down in factors)
    unit = {6: (16, 16), 4: (16, 8)}[blocks]
    jpeg = bytearray(coloured(width * unit[0], height * unit[1], {6: "4:2:0", 4: "4:2:2"}[blocks]))
    most = [max(column) for column in zip(*factors, strict=True)]
    frame = jpeg.index(b"\xff\xc0")
    wide, high = width * 8 * most[0], height * 8 * most[1]
    jpeg[frame + 5 : frame + 9] = high.to_bytes(2) + wide.to_bytes(2)
    for number, (across, down) in enumerate(factors):
        jpeg[frame + 11 + 3 * number] = across << 4 | down
    return bytes(jpeg), high, wide


@pytest.mark.parametrize("factors", SAMPLINGS)
@settings(deadline=None, max_examples=5)
@given(width=st.integers(1, 4), height=st.integers(1, 4))
def test_every_sampling_has_the_same_bits(factors: Factors, width: int, height: int) -> None:
    """Subsamplings that no encoder here makes are included; unnamed ones, which prep refuses, are left to DALI."""
    jpeg, high, wide = resampled(width, height, factors)
    done, images = turbo(files_of([jpeg], [(high, wide)]))
    assert done.all() == SAMPLINGS[factors]
    assert same(images, dali([jpeg], [(high, wide)])[: len(images)])


def test_stored_rgb_has_the_same_bits() -> None:
    """A file that stores red, green and blue, according to Adobe's marker, has the same bits."""
    noise, out = np.random.default_rng(1).integers(0, 256, (50, 70, 3), np.uint8), io.BytesIO()
    Image.fromarray(noise).save(out, "JPEG", quality=95, keep_rgb=True)
    assert b"Adobe" in out.getvalue()
    done, images = turbo(files_of([out.getvalue()], [(50, 70)]))
    assert done.all()
    assert same(images, dali([out.getvalue()], [(50, 70)]))


def saved(form: str, **options: Any) -> bytes:
    """Return a picture of 40 x 30 in another format."""
    out = io.BytesIO()
    Image.open(io.BytesIO(picture(40, 30))).save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("jpeg", "high", "wide"),
    [
        (picture(129, 128), 128, 129),
        (picture(MOST_PIXELS // 8 + 1, 8), 8, MOST_PIXELS // 8 + 1),
        (picture(40, 30), 40, 30),
        (picture(40, 30), 30, 39),
        (picture(40, 30, exif=pictures.exif(1)), 30, 40),
        (saved("PNG"), 30, 40),
        (picture(40, 30)[:-2], 30, 40),
        (picture(40, 30)[:-40] + b"\xff\xd9", 30, 40),
        (picture(40, 30)[:200], 30, 40),
        (b"\xff\xd8\xff", 30, 40),
    ],
    ids=["large", "long", "turned", "narrower", "EXIF", "PNG", "no end", "a cut with an end", "cut", "three bytes"],
)
@pytest.mark.parametrize("rows", [True, False])
def test_is_left_to_dali(jpeg: bytes, high: int, wide: int, rows: bool) -> None:
    """Large files, files that differ from the index or may be turned, and files with warnings are left to DALI."""
    sound = picture(20, 20)
    done, images = turbo(files_of([sound, jpeg, sound], [(20, 20), (high, wide), (20, 20)], rows=rows))
    assert done.tolist() == [True, False, True]
    assert same(images, dali([sound] * 2, [(20, 20)] * 2))


def test_memory_is_kept() -> None:
    """The next batch reuses the memory of the batch before, if it is large enough."""
    decoder, jpeg = TurboDecoder(), picture(64, 64)
    _, first = decoder(files_of([jpeg] * 5, [(64, 64)] * 5))
    _, second = decoder(files_of([jpeg] * 4, [(64, 64)] * 4))
    _, third = decoder(files_of([jpeg] * 6, [(64, 64)] * 6))
    assert second.pixels is first.pixels
    assert third.pixels.size == 6 * 3 * 64 * 64


def test_library_of_the_system_is_used() -> None:
    """If it can be loaded; the tests above then compare it with simplejpeg."""
    try:
        ctypes.CDLL(NAME)
    except OSError:
        pytest.skip("the system has no libturbojpeg; tests/extras/turbojpeg runs these tests with it")
    assert system_library() is not None
