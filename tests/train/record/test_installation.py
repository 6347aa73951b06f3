"""The facts about the installation that runs and error reports give."""

import subprocess

import pytest

from headrace.train.record.installation import commit
from tests.checkout import ROOT


def hash_of(name: str) -> str:
    """Return the commit that git knows by this name."""
    command = ["git", "-C", str(ROOT), "rev-parse", "--verify", f"{name}^{{commit}}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this tree is no checkout of git")
def test_commit_is_that_of_the_checkout() -> None:
    """A run names the commit of the checkout, whatever has been changed since."""
    assert hash_of((commit() or "").removesuffix("-dirty")) == hash_of("HEAD")
