"""Builds of the package, for tests of what a release uploads."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.checkout import ROOT
from tests.project.sources import kept


class Built(NamedTuple):
    """The two files of a release."""

    wheel: Path
    sdist: Path


def build(source: Path, out: Path, **environment: str) -> Built:
    """Wheel and sdist of a folder, each built from that folder."""
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "SOURCE_DATE_EPOCH"}}
    command = [sys.executable, "-m", "build", "--wheel", "--sdist", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return Built(wheel, sdist)


def copy_of_the_checkout(folder: Path) -> Path:
    """All files of the repository in a folder, as a clone of it has them, but for the link .src/headrace."""
    for path in kept():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, folder / path)
    return folder


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Wheel and sdist as `make dist` builds them, from a copy of the checkout."""
    folder = tmp_path_factory.mktemp("release")
    return build(copy_of_the_checkout(folder / "source"), folder / "dist", SOURCE_DATE_EPOCH="1700000000")
