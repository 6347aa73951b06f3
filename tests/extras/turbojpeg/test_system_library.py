"""With the system's libturbojpeg: it is used, it has simplejpeg's bits, and it lets go of what it took."""

import ctypes.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest

from headrace.train.input.decode import turbo, turbo_library
from headrace.train.input.decode.turbo import Files, TurboDecoder
from tests.train.pictures import picture

ROOT = Path(__file__).parents[3]
TESTS = ("test_turbo.py", "test_small_and_large.py", "test_pipeline.py")


def test_library_is_found() -> None:
    """Otherwise the tests of this folder would show nothing."""
    assert turbo_library.system_library() is not None


@pytest.mark.parametrize("name", TESTS)
def test_decoder_passes_its_tests(name: str) -> None:
    """Those of small JPEGs compare both ways wherever there is a library."""
    tests = ROOT / "tests/train/input/decode" / name
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", tests], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:]


def files(count: int) -> Files:
    """A batch of equal files, as rows."""
    jpeg = np.frombuffer(picture(60, 50), np.uint8)
    sides = np.full(count, 50, np.int32), np.full(count, 60, np.int32)
    return Files(np.tile(jpeg, (count, 1)), np.full(count, len(jpeg), np.int32), *sides)


def test_a_batch_is_one_call() -> None:
    """No image is given to simplejpeg."""
    with mock.patch.object(turbo, "decode_jpeg", side_effect=AssertionError):
        done, images = TurboDecoder()(files(5))
    assert done.all()
    assert len(images.starts) == 5


def test_each_decoder_releases_its_decompressor() -> None:
    """With the decoder, so lanes that come and go take no memory."""
    library = turbo_library.system_library()
    assert library is not None
    destroyed: list[int] = []
    watched: Any = SimpleNamespace(tjInitDecompress=library.tjInitDecompress, tjDestroy=destroyed.append)
    decoder = turbo_library.SystemDecoder(watched)
    assert destroyed == []
    del decoder
    assert len(destroyed) == 1
    library.tjDestroy(*destroyed)


def test_library_with_other_pixels_is_left_alone() -> None:
    """As one would be that doubles rows of colours instead of interpolating them."""
    with mock.patch.object(turbo_library, "decode_jpeg", return_value=np.zeros((37, 45, 3), np.uint8)):
        assert turbo_library.system_library.__wrapped__() is None


def test_library_that_lacks_a_function_is_left_alone(tmp_path: Path) -> None:
    """Nor does one that is no library end a run."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / turbo_library.NAME).write_bytes(b"no library")
    absent = str(tmp_path / "absent.so")
    libc = ctypes.util.find_library("c")
    for name in (absent, libc):
        with mock.patch.object(turbo_library, "NAME", name), mock.patch.object(sys, "prefix", str(tmp_path)):
            assert turbo_library.system_library.__wrapped__() is None
