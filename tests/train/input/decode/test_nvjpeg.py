"""DALI with and without nvJPEG. The library is loaded before a GPU is requested, so these tests need no GPU."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

PROGRAM = """
from headrace.train.input.decode import dali
from headrace.train.input.decode.nvjpeg import NoNvjpegError, refuse_without_nvjpeg

dali.decoding(lambda: [], 1, 1)
try:
    refuse_without_nvjpeg()
except NoNvjpegError as error:
    print(error)
"""


def extensions() -> Path:
    """Return the folder of nvImageCodec's extensions, each of which looks for its library in relative folders."""
    spec = find_spec("nvidia.nvimgcodec")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "extensions"


def said(folder: Path) -> str:
    """Return the output of a process that builds a decoder with the extensions of a folder."""
    environment = {**os.environ, "NVIMGCODEC_EXTENSIONS_PATH": str(folder)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nvjpeg_is_found_where_it_is_installed() -> None:
    """The library is found, because DALI's own requirements install it."""
    assert said(extensions()) == ""


@pytest.mark.skipif(any(Path("/usr/local/cuda/lib64").glob("libnvjpeg*")), reason="the CUDA toolkit has the library")
def test_missing_nvjpeg_is_said(tmp_path: Path) -> None:
    """If the extensions do not find the library, they load without these decoders, and the error says so."""
    apart = tmp_path / "a" / "b"
    shutil.copytree(extensions(), apart)
    assert "DALI finds no libnvjpeg" in said(apart)
