"""The code blocks of docs/loader.md, run one after another on a real set."""

import os
import re
from pathlib import Path

import pytest

from tests.checkout import ROOT


def test_blocks_of_the_page(tiny_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The blocks train two epochs and count every validation image once."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/loader.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 2
    (tmp_path / "shards").symlink_to(tiny_set)
    known: dict[str, object] = {}
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        for block in blocks:
            exec(block, known)  # noqa: S102  the page under test
        for name in ("train", "val"):
            known[name].close()  # type: ignore[attr-defined]
    finally:
        os.chdir(before)
    assert re.match(r"\d+ of 120 correct, loss \d", capsys.readouterr().out)
