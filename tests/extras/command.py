"""The command `headrace` in the environment of an extra, and the shard sets that it makes of real images."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.checkout import HEADRACE, SEARCH


def headrace(*words: object) -> str:
    """The command, which must end well; what it printed."""
    env = os.environ | {"PYTHONPATH": SEARCH}
    done = subprocess.run([*HEADRACE, *map(str, words)], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def real_or_drawn(factory: pytest.TempPathFactory, drawn: Path, *, classes: int, per_class: int) -> Path:
    """A set of this part of the real data set where TINY_IMAGENET names it, else the drawn set."""
    named = os.environ.get("TINY_IMAGENET")
    if not named:
        return drawn
    out = factory.mktemp("real") / "set"
    headrace("prep", named, out, "--classes", classes, "--per-class", per_class)
    return out
