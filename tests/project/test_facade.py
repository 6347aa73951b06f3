"""`import headrace`: what it loads, what it offers."""

import subprocess
import sys

import pytest

import headrace
from tests.checkout import ROOT


def printed(program: str) -> str:
    """What a new process prints."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT / "docs", capture_output=True, text=True, check=True).stdout


def test_import_loads_nothing_else() -> None:
    """Neither a library nor another module of the project: it takes milliseconds."""
    program = (
        "import typing, importlib, sys; before = set(sys.modules); import headrace; print(*set(sys.modules) - before)"
    )
    assert printed(program).split() == ["headrace"]


def test_public_names_are_listed() -> None:
    """They are sorted, and what an interpreter completes after `headrace.` has them all."""
    assert headrace.__all__ == sorted(headrace.__all__)
    assert set(headrace.__all__) <= set(dir(headrace))


def test_every_public_name_is_there_after_all_modules_were_loaded() -> None:
    """A module of the package never hides a public name."""
    names = ["headrace.prep.convert", "headrace.train.run.training", "headrace.cli"]
    program = (
        f"import importlib, types, headrace\n[importlib.import_module(name) for name in {names}]\n"
        "print([name for name in headrace.__all__ if isinstance(getattr(headrace, name), types.ModuleType)])"
    )
    assert printed(program).strip() == "[]"


def test_name_that_is_not_there() -> None:
    """It is the usual error, not one about the table."""
    with pytest.raises(AttributeError, match="module 'headrace' has no attribute 'fit_all'"):
        _ = headrace.fit_all
