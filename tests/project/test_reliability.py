import ast
import re

import pytest

from tests.checkout import ROOT

PAGE = (ROOT / "docs/reliability.md").read_text("utf-8")


def named(page: str) -> list[tuple[str, str]]:
    """(file, test) of every test that the page names; `::test` alone is in the file named before it."""
    found, file = [], ""
    for path, test in re.findall(r"`([\w/]*(?:\.py)?)::(\w+)`", page):
        file = path or file
        found.append((file, test))
    return found


def missing(page: str) -> list[str]:
    """Tests that the page names and that are not there."""
    gone = []
    for file, test in named(page):
        tree = ast.parse((ROOT / file).read_text("utf-8")) if (ROOT / file).is_file() else ast.Module([], [])
        if test not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}:
            gone.append(f"{file}::{test}")
    return gone


def test_every_named_test_exists() -> None:
    """The page claims nothing that no test shows."""
    assert len(named(PAGE)) > 30
    assert missing(PAGE) == []


def test_every_fault_has_a_test() -> None:
    """Each row of the table names at least one."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line]
    assert [row for row in rows[1:] if "::test_" not in row] == []


@pytest.mark.parametrize("text", ["`tests/faults/test_kill.py::test_gone`", "`tests/gone.py::test_x`"])
def test_missing_test_is_found(text: str) -> None:
    """The checker sees a test, or a file, that is not there."""
    assert len(missing(text)) == 1
