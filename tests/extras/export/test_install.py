"""Each extra, installed with constraints.txt beside what `make` installs, brings what is pinned there and no torch."""

import json
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
import torch

from tests.checkout import ROOT
from tests.project.test_requirements import canonical

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
LENT = Path(torch.__file__).parents[1]
"""The packages that `make` installed."""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that has those packages, and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "lent.pth").write_text(f"{LENT}\n", "utf-8")
    return folder / "bin/python"


def pinned() -> dict[str, str]:
    """The versions of constraints.txt by name."""
    lines = [line.split(";")[0].strip() for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()]
    pins = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    return {canonical(name): version for name, version in pins}


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_extra_leaves_torch(python: Path, extra: str) -> None:
    """What pip would bring has its version in constraints.txt, and torch is not among it."""
    command = [str(python), "-m", "pip", "install", "--dry-run", "--quiet", "--report", "-", "-c", "constraints.txt"]
    done = subprocess.run([*command, *EXTRAS[extra]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    brought = {
        canonical(one["metadata"]["name"]): one["metadata"]["version"] for one in json.loads(done.stdout)["install"]
    }
    assert "torch" not in brought
    assert {name: pinned().get(name) for name in brought} == brought
    assert brought or extra != "export", f"{sys.executable} lends what the extra brings: nothing was tried"
