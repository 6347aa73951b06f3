"""Thousands of odd JPEGs through admission and the decoder that trains, in processes that a signal may end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import ROOT


def looked_at(first: int, last: int, folder: Path) -> dict[str, int]:
    """Counts of the files from `first` to before `last`, which had no problem."""
    command = [sys.executable, "-m", "tests.e2e.decode_jpegs", str(first), str(last), str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert answer["problems"] == []
    counts: dict[str, int] = answer["counts"]
    assert counts["files"] == last - first
    assert counts["not as it is"] > counts["files"] // 10  # the gate is asked something
    assert counts["kept"] > counts["files"] // 2  # and lets through what is sound
    return counts


def test_admitted_jpegs_train_as_they_look(tmp_path: Path) -> None:
    """Each is admitted, and training decodes the picture that it is, of the index's sides, twice, without a signal.

    The whole and a part are within 3 levels of what Pillow sees without EXIF, turned as the file was made.
    """
    looked_at(0, 100, tmp_path)


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_thousands_of_odd_jpegs(tmp_path: Path) -> None:
    """The same for 3,000 files, of which more than half are evil: two APP1, fill bytes, broken directories, XMP."""
    assert looked_at(0, 3000, tmp_path)["evil"] > 1500
