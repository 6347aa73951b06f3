"""The checkout works whatever its folder is called, unpacked from an archive, and without an installation."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.project.sources import kept

QUICK = ("tests/shards/test_draws.py", "tests/prep/make/test_plan.py")


@pytest.fixture(scope="module", params=["code", "headrace", "my-checkout.1"])
def copy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files of the checkout, as an archive of it unpacks, in a folder of this name."""
    folder: Path = tmp_path_factory.mktemp("copies") / request.param
    for path in (*kept(), ".src/headrace"):  # the latter is a link to a folder, so no file
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, folder / path, follow_symlinks=False)
    return folder


def printed(folder: Path, *arguments: str, **environment: str) -> str:
    """What this interpreter prints with these arguments, in the folder."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=clean | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_tests_run_in_the_copy(copy: Path) -> None:
    """Pytest tests that copy, in worker processes too, and not another one that may be installed."""
    assert " passed" in printed(copy, "-m", "pytest", "-q", *QUICK)
    where = "import sys; sys.path[:0] = ['.src']; import headrace; print(headrace.__file__)"
    assert (copy / printed(copy, "-c", where).strip()).resolve() == copy / "__init__.py"


def test_command_runs_without_an_installation(copy: Path, tmp_path: Path) -> None:
    """PYTHONPATH alone is enough, for worker processes and ranks too, beside modules of the user's own."""
    for name in ("train.py", "cli.py", "prep.py", "shards.py"):
        (tmp_path / name).write_text("raise SystemExit('the user\\'s own')")
    path = {"PYTHONPATH": str(copy / ".src")}
    headrace = ("-m", "headrace")
    assert printed(tmp_path, "-c", "import headrace; print(headrace.__file__)", **path).startswith(str(copy))
    assert "samples" in printed(tmp_path, *headrace, "prep", "--demo", "set", "--per-class", "4", "--workers=2", **path)
    assert "sound" in printed(tmp_path, *headrace, "verify", "set", **path)


def test_version_is_known_without_an_installation(copy: Path) -> None:
    """Where no package metadata is found, the version is that of the checkout's project file."""
    program = "import importlib.metadata as m; m.version = m.distribution; m.distributions = lambda **_: iter(())\n"
    program += "m.Distribution.discover = lambda **_: iter(())\nimport headrace; print(headrace.__version__)"
    project = tomllib.loads((copy / "pyproject.toml").read_text("utf-8"))["project"]
    assert printed(copy, "-c", program, PYTHONPATH=str(copy / ".src")).strip() == project["version"]


@pytest.mark.faults
def test_types_are_checked_in_the_copy(copy: Path) -> None:
    """Mypy finds the package by its link."""
    assert "no issues found" in printed(copy, "-m", "mypy")
