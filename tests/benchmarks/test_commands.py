"""The benchmarks as commands: each is listed, is described, and starts."""

import re
import subprocess
import sys

import pytest

from benchmarks.__main__ import commands
from benchmarks.whole.invariance import MODES, RECIPE
from headrace.train.recipe.recipe import load_recipe
from tests.checkout import ROOT

SLOW = {"benchmarks.gpu", "benchmarks.input.parity"}
"""They load torch to begin with, and have tests of their own."""
IMPORT = "import sys; from importlib import import_module; [import_module(name).main for name in sys.argv[1:]]"


def python(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The interpreter in the checkout's root, as a user starts it there."""
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_command_has_its_row() -> None:
    """`python -m benchmarks` and the README of that folder list the same commands, each with a sentence."""
    page = (ROOT / "benchmarks/README.md").read_text("utf-8")
    listed = re.findall(r"^\| `python -m ([\w.]+)` \| \w", page, re.MULTILINE)
    assert sorted(listed) == sorted(commands())
    assert all(commands().values())
    done = python("-m", "benchmarks")
    assert done.returncode == 0, done.stderr
    assert all(f"python -m {name} " in done.stdout for name in listed)


def test_every_command_can_be_imported() -> None:
    """A benchmark only measures when it is run: its module is imported in silence."""
    done = python("-c", IMPORT, *(commands().keys() - SLOW))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("mode", MODES)
def test_recipe_of_the_invariance_is_read(mode: str) -> None:
    """Its keys are those of today, with the settings of each mode: one size of images, no head as published."""
    recipe = load_recipe(str(RECIPE), MODES[mode])
    assert (recipe.model.name, recipe.model.head, recipe.augment.sizes) == ("efficientnet-lite0", "new", ())
