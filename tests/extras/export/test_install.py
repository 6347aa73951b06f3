"""Extras installed with constraints.txt beside what `make` installs: they bring what is pinned there, and no torch."""

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


@pytest.mark.parametrize("extra", sorted(name for name, brings in EXTRAS.items() if brings))
def test_extra_leaves_torch(python: Path, extra: str) -> None:
    """What pip would bring has its version in constraints.txt, and torch is not among it."""
    command = ("-m", "pip", "install", "--dry-run", "--quiet", "--report", "-", "-c", "constraints.txt")
    done = asked(python, *command, *EXTRAS[extra])
    assert done.returncode == 0, done.stderr
    brought = {
        canonical(one["metadata"]["name"]): one["metadata"]["version"] for one in json.loads(done.stdout)["install"]
    }
    assert "torch" not in brought
    assert {name: pinned().get(name) for name in brought} == brought
    assert brought or extra != "export", f"{sys.executable} lends what the extra brings: nothing was tried"


def test_all_extras_leave_torch(python: Path) -> None:
    """Installed together, they are at peace with one another, and the torch that is imported is the one from before."""
    everything = [requirement for brings in EXTRAS.values() for requirement in brings]
    installed = asked(python, "-m", "pip", "install", "--quiet", "-c", "constraints.txt", *everything)
    assert installed.returncode == 0, installed.stderr
    said = asked(
        python, "-c", "import torch, onnxruntime; print(torch.__file__, torch.__version__, onnxruntime.__file__)"
    )
    path, version, brought = said.stdout.split()
    assert (path, version) == (torch.__file__, torch.__version__)
    assert Path(brought).is_relative_to(python.parents[1])
    checked = asked(python, "-m", "pip", "check")
    assert checked.returncode == 0, checked.stdout


def asked(python: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What that Python says."""
    return subprocess.run([str(python), *words], cwd=ROOT, capture_output=True, text=True, check=False)
