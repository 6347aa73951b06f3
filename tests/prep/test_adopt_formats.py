"""Adopted tars keep their bytes, so training reads every format in them, even those that prep would convert."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from headrace.prep.adopt import adopt
from headrace.shards.shardset import ShardSet
from tests.prep.damage import tarred
from tests.train.pictures import evaluated, picture

PLAIN = Image.open(io.BytesIO(picture(64, 40))).convert("RGB")


def turned() -> dict[str, Any]:
    """EXIF data that turn the picture by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return {"exif": exif}


@pytest.mark.parametrize(
    ("ending", "form", "mode", "options"),
    [
        ("jpg", "JPEG", "RGB", {}),
        ("jpg", "JPEG", "L", {}),
        ("jpg", "JPEG", "CMYK", {"quality": 95}),
        ("jpeg", "JPEG", "RGB", {"progressive": True}),
        ("jpg", "JPEG", "RGB", turned()),
        ("png", "PNG", "RGB", {}),
        ("png", "PNG", "L", {}),
        ("png", "PNG", "1", {}),
        ("png", "PNG", "P", {}),
        ("png", "PNG", "RGBA", {}),
        ("png", "PNG", "RGB", turned()),
        ("webp", "WEBP", "RGB", {}),
        ("webp", "WEBP", "RGBA", {"lossless": True}),
        ("webp", "WEBP", "RGB", turned()),
        ("bmp", "BMP", "RGB", {}),
        ("tiff", "TIFF", "RGB", {}),
    ],
)
def test_training_reads_what_index_admits(
    ending: str, form: str, mode: str, options: dict[str, Any], tmp_path: Path
) -> None:
    """The training pipeline gives each adopted image the same upright pixels as PIL."""
    out = io.BytesIO()
    PLAIN.convert(mode).save(out, form, **options)
    tar = tarred({f"0.{ending}".encode(): out.getvalue(), b"0.cls": b"0"})
    (tmp_path / "train-0.tar").write_bytes(tar)
    adopt(tmp_path, say=print)
    split = ShardSet.open(tmp_path).split("train")
    upright = ImageOps.exif_transpose(Image.open(out)).convert("RGB")
    assert (int(split.widths[0]), int(split.heights[0])) == upright.size
    left, top = (upright.width - 40) / 2, (upright.height - 40) / 2
    wanted = upright.resize((40, 40), Image.Resampling.BILINEAR, box=(left, top, left + 40, top + 40))
    seen = evaluated(split, size=40, fraction=1.0)[0]
    assert np.abs(seen.astype(int) - np.asarray(wanted)).mean() < 2


def test_format_that_is_not_admitted_is_reported(tmp_path: Path) -> None:
    """GIF, and JPEG 2000, which can crash its decoder when damaged, are left out by name."""
    members = {b"good.jpg": picture(64, 40), b"good.cls": b"0"}
    for ending, form in (("gif", "GIF"), ("jp2", "JPEG2000")):
        out = io.BytesIO()
        PLAIN.save(out, form)
        members |= {f"{ending}.{ending}".encode(): out.getvalue(), f"{ending}.cls".encode(): b"0"}
    (tmp_path / "train-0.tar").write_bytes(tarred(members))
    said: list[str] = []
    adopt(tmp_path, say=said.append)
    assert len(ShardSet.open(tmp_path).split("train")) == 1
    assert "2 samples could not be used" in said[0]
    assert (tmp_path / "report.jsonl").read_text().count("has a format that training does not decode") == 2
