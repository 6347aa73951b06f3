"""docs/versions.md as rows, and the private names of other packages in the code, which that page must have."""

import re
from typing import NamedTuple

from tests.checkout import ROOT
from tests.project.sources import Source, dotted, under

PAGE = ROOT / "docs/versions.md"
PACKAGES = ("torch", "nvidia.dali", "nvidia.nvimgcodec", "numba", "llvmlite")


class Row(NamedTuple):
    """What a row says: names, and the files that have all of them."""

    names: list[str]
    files: list[str]


class Private(NamedTuple):
    """A private name of another package, in full or from its object on."""

    path: str
    line: int
    name: str

    def is_in(self, rows: list[Row]) -> bool:
        """Whether a row of its file has all its private parts."""
        wanted = set(filter(_is_private, self.name.split(".")))
        return any(wanted <= set(".".join(row.names).split(".")) for row in rows if self.path in row.files)


def rows(page: str) -> list[Row]:
    """The rows of all tables of a page."""
    cells = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    return [Row(re.findall(r"`([^`]+)`", row[0]), re.findall(r"`([^`]+)`", row[1])) for row in cells]


def missing(row: Row, source: Source) -> list[str]:
    """Names of a row that a file does not have, neither in its text nor as the full name of what it imports or uses."""
    is_code = source.path.endswith(".py")
    full = [one.name for one in source.imports()] + [name for name, _ in source.uses()] if is_code else []
    found = [name for name in row.names if name in source.text or any(under(one, (name,)) for one in full)]
    return [f"{source.path}: {name}" for name in row.names if name not in found]


def private_names(source: Source, *, marked: bool = True) -> list[Private]:
    """Private names of PACKAGES and, if `marked`, the private attributes that a comment excuses to the linter."""
    named = [(one.name, one.line) for one in source.imports()] + source.uses()
    found = {(line, name) for name, line in named if under(name, PACKAGES) and any(map(_is_private, name.split(".")))}
    lines = source.text.splitlines()
    for node in source.attributes if marked else ():
        if (
            _is_private(node.attr)
            and dotted(node.value) not in ("self", "cls")
            and "noqa: SLF001" in lines[node.lineno - 1]
        ):
            found.add((node.lineno, dotted(node)))
    return [Private(source.path, line, name) for line, name in sorted(found)]


def _is_private(part: str) -> bool:
    return part.startswith("_") and not part.startswith("__")
