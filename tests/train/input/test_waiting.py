"""OpenMP's way of waiting is set before torch loads the library, unless the user has set it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import SEARCH

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
SEEN = """
import os, sys

def say():
    print(*(os.environ.get(name) for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")), flush=True)
    os._exit(0)

class Watch:
    def find_spec(self, name, *_):
        if name == "torch":
            say()

sys.meta_path.insert(0, Watch())
"""
"""Says what the environment is when torch is about to be loaded, and ends there."""


def seen(program: str, *arguments: object, **given: str) -> str:
    """Return the output of a new process."""
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    done = subprocess.run(
        [sys.executable, "-c", SEEN + program, *map(str, arguments)],
        env={**environment, **given, "PYTHONPATH": SEARCH},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("command", ["train", "eval"])
@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, "None 2000"),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, "PASSIVE None"),
        ({"GOMP_SPINCOUNT": "7"}, "None 7"),
    ],
    ids=["nothing said", "policy", "count"],
)
def test_threads_spin_briefly_unless_the_user_says_otherwise(
    tiny_set: Path, command: str, given: dict[str, str], found: str
) -> None:
    """The command sets the spin count before torch is loaded."""
    words = ("train", tiny_set, "--recipe", "demo") if command == "train" else ("eval", tiny_set / "x.pt", tiny_set)
    assert seen("from headrace import cli; cli.main()", *words, **given) == found


def test_importing_sets_nothing() -> None:
    """Importing Headrace does not change the environment of another program's process."""
    assert seen("import headrace.train.recipe.recipe, headrace.train.machine.openmp; say()") == "None None"
