"""What these tests share: a small part of the real data set where TINY_IMAGENET names it, else drawn images."""

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


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory, tiny_set: Path) -> Path:
    """Twelve classes of 40 training and 10 validation images."""
    named = os.environ.get("TINY_IMAGENET")
    if not named:
        return tiny_set
    out = tmp_path_factory.mktemp("real") / "set"
    headrace("prep", named, out, "--classes", 12, "--per-class", 40)
    return out
