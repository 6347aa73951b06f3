"""A set with appended images."""

from pathlib import Path

import pytest

from headrace.prep.command.options import Options
from tests.prep.contents import as_folder, small
from tests.prep.growing import JPEGS, add
from tests.prep.test_convert import make


@pytest.fixture
def grown(tmp_path: Path) -> Path:
    """A set of TinyImageNet's layout to which class folders were appended in both splits, with a new class."""
    as_folder(small(), tmp_path / "a")
    make(tmp_path / "a", tmp_path / "out")
    more = {f"train/{word}/{k}.jpg": JPEGS[k + shift] for word, shift in (("n03", 0), ("new", 3)) for k in range(3)}
    as_folder(more | {"val/n03/v.jpg": JPEGS[7]}, tmp_path / "b")
    assert add(tmp_path / "b", tmp_path / "out", Options()).added == 7
    return tmp_path / "out"
