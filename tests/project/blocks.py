"""The code blocks of README and docs.

A block is sh, python, toml or sql, and is run by a test: by tests/extras/docs/test_blocks.py, or by the one that a
comment in front of it names (`<!-- run by tests/... -->`). Or it is console: the command behind `$`, and its output.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.checkout import ROOT

PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])
RUN, OUTPUT = ("sh", "python", "toml", "sql"), "console"
RUNNER = "tests/extras/docs/test_blocks.py"
_BLOCK = re.compile(
    r"(?:<!-- run by (?P<by>\S+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)


class Block(NamedTuple):
    """A block of a page."""

    page: Path
    line: int
    language: str
    text: str
    by: str
    """The test that runs it, from the root of the checkout."""

    def faults(self) -> list[str]:
        """What is wrong with it, as a line each."""
        where = f"{self.page.name}:{self.line}"
        if self.language == OUTPUT:
            return [] if self.text.startswith("$ ") else [f"{where}: output without the command that made it"]
        if self.language not in RUN:
            return [f"{where}: {self.language or 'no language'}: expected {', '.join(RUN)} or {OUTPUT}"]
        test = ROOT / self.by
        if not test.is_file():
            return [f"{where}: {self.by} is not there"]
        named = self.by == RUNNER or self.page.name in test.read_text("utf-8") or self.page.stem in test.stem
        return [] if named else [f"{where}: {self.by} does not name {self.page.name}"]


def blocks_of(page: Path) -> Iterator[Block]:
    """Those of a page, in order."""
    text = page.read_text("utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("language")) + 1
        yield Block(page, line, found["language"], found["text"], found["by"] or RUNNER)
