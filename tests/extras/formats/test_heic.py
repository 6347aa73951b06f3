"""HEIC photographs, with the extra `formats`."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.prep.images import formats
from headrace.prep.images.admit import BadImageError, admit, decode
from headrace.shards.prepared import Prepared
from tests.checkout import ROOT

_X, _Y = np.meshgrid(np.arange(64), np.arange(48))
PICTURE = np.stack([_X * 3, _Y * 4, 255 - _X * 2], -1).astype(np.uint8)


def saved(pixels: np.ndarray, **options: object) -> bytes:
    """The pixels as a HEIC file."""
    mode = "RGBA" if pixels.shape[2] == 4 else "RGB"
    heif = pillow_heif.from_bytes(mode, pixels.shape[1::-1], pixels.tobytes())
    out = io.BytesIO()
    heif.save(out, quality=95, **options)
    return out.getvalue()


def test_heic_becomes_a_jpeg() -> None:
    """Of its pixels, upright."""
    admitted = admit(saved(PICTURE))
    assert admitted[1:] == (64, 48, "HEIC converted to RGB JPEG")
    found = np.asarray(Image.open(io.BytesIO(admitted.jpeg))).astype(int)
    assert np.abs(found - PICTURE).mean() < 5


def test_exif_data_do_not_turn_a_heic() -> None:
    """By its standard the boxes of the file do, which the library obeys; telephones write both."""
    exif = Image.Exif()
    exif[0x0112] = 6
    pillow_heif.register_heif_opener()
    out = io.BytesIO()
    Image.fromarray(PICTURE).save(out, "HEIF", exif=exif, quality=95)
    assert np.abs(decode(out.getvalue()).astype(int) - PICTURE).mean() < 5


def test_transparency() -> None:
    """Is over the background."""
    alpha = np.full((48, 64, 1), 0, np.uint8)
    found = decode(saved(np.concatenate([PICTURE, alpha], 2)))
    assert found.min() > 250


def test_pixels_are_counted_before_any_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large picture is not decoded to be refused."""
    monkeypatch.setattr(pillow_heif.HeifFile, "to_pillow", None)
    with pytest.raises(ValueError, match="64 x 48 pixels; the limit is 3,071"):
        formats.decode(saved(PICTURE), "HEIC", 3071, Prepared().background)


def test_what_only_begins_like_one() -> None:
    """Is a bad image."""
    with pytest.raises(BadImageError, match="not a sound image: "):
        admit(b"\0\0\0\x18ftypheic" + bytes(100))


def test_prep_reads_photographs_of_a_telephone(tmp_path: Path) -> None:
    """Whatever their names end with."""
    for name in ("ant/IMG_1.HEIC", "ant/2.heif", "cat/3"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(saved(PICTURE))
    options = Options(val_fraction=0)
    result = prep(tmp_path / "in", tmp_path / "out", options, workers=2, if_exists="error", say=lambda _: None)
    assert result.tally.converted == {"HEIC converted to RGB JPEG": 3}


def test_damaged_files_end_in_an_error() -> None:
    """Each case in a fork of its own: an image or its error, never a signal."""
    command = [sys.executable, "-m", "tests.prep.admit_damaged_formats", "100", "HEIC"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "signal" not in done.stdout
    assert "raised" not in done.stdout
    assert done.stdout.startswith("HEIC: ")
