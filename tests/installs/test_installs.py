"""Headrace from its wheel alone in new environments, from installation to removal: `make test-installs`.

Two sets of requirements, one environment after the other, each removed at the end: the tested set (torch of
constraints.txt, requirements/cpu.txt with its hashes), and the lowest version of each requirement that pyproject.toml
allows. torch is that of constraints.txt in both, since an older one is a download of gigabytes; `make test-lowest`
takes the lowest torch, too.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.e2e.commands import SMALL
from tests.extras.release.conftest import build, copy_of_the_checkout
from tests.project.pinned import constraints
from tests.project.test_requirements import PROJECT

pytestmark = [pytest.mark.installs, pytest.mark.timeout(1800)]
UV = ROOT / ".extras/release/bin/uv"
TORCH = constraints()["torch"]


class Machine:
    """A new environment, and a user without files: `home`, temporary files in `temporary`, work in `work`."""

    def __init__(self, folder: Path) -> None:
        self.home, self.temporary, self.work = folder / "home", folder / "tmp", folder / "home/work"
        self.environment = folder / "environment"
        for path in (self.work, self.temporary):
            path.mkdir(parents=True)
        subprocess.run([sys.executable, "-m", "venv", self.environment], check=True)

    def install(self, *words: str | Path) -> None:
        """Install by pip, with the settings of whoever runs the tests."""
        self._run([self.environment / "bin/python", "-m", "pip", "install", "-q", *words], dict(os.environ))

    def install_lowest(self) -> None:
        """Install the requirements of pyproject.toml by uv, each at its lowest version but torch, which is there."""
        asked = [one for one in PROJECT["dependencies"] if not one.startswith("torch")]
        settings = ("--resolution", "lowest-direct", "--python", self.environment)
        self._run([UV, "pip", "install", "-q", *settings, f"torch=={TORCH}", *asked], dict(os.environ))

    def run(self, *words: str | Path) -> str:
        """What a command of the environment prints, for this user."""
        known = {"HOME": str(self.home), "TMPDIR": str(self.temporary), "LANG": "C.UTF-8"}
        path = os.pathsep.join([str(self.environment / "bin"), "/usr/bin", "/bin"])
        return self._run([self.environment / "bin" / words[0], *words[1:]], {**known, "PATH": path})

    def files(self) -> set[str]:
        """The files of the environment, but for what Python compiles when a module is imported."""
        found = (path.relative_to(self.environment) for path in self.environment.rglob("*") if not path.is_dir())
        return {path.as_posix() for path in found if "__pycache__" not in path.parts}

    def version(self, package: str) -> str:
        """The installed version of a package."""
        program = f"from importlib.metadata import version; print(version({package!r}))"
        return self.run("python", "-c", program).strip()

    def _run(self, command: list[str | Path], environment: dict[str, str]) -> str:
        clean = {name: value for name, value in environment.items() if name not in ("PYTHONPATH", "XDG_CACHE_HOME")}
        done = subprocess.run(command, cwd=self.work, env=clean, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout[-5000:]}\n{done.stderr[-5000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the checkout: an old build folder cannot lend it a file."""
    folder = tmp_path_factory.mktemp("release")
    return build(copy_of_the_checkout(folder / "source"), folder / "dist").wheel


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A new environment, which is removed afterwards: it has gigabytes."""
    made = Machine(tmp_path)
    yield made
    shutil.rmtree(made.environment)


def use(machine: Machine) -> None:
    """Run the two commands, and what is done with their results."""
    machine.run("headrace", "prep", "--demo", "shards", "--per-class", "8")
    assert "sound" in machine.run("headrace", "verify", "shards")
    machine.run("headrace", "train", "shards", "--out", "run", *SMALL)
    assert "Test Acc: " in machine.run("headrace", "eval", "run", "shards", "--device", "cpu")
    shown = machine.run("headrace", "predict", "run", "shards", "--device", "cpu", "--format", "csv")
    assert shown.startswith("file,")
    assert '"headrace"' in machine.run("headrace", "--version", "--json")


def removed(machine: Machine, before: set[str]) -> None:
    """Uninstall, and compare what is left with what was there before: the user's folders and the named cache alone."""
    machine.run("python", "-m", "pip", "uninstall", "-q", "-y", "headrace")
    assert machine.files() == before
    assert {path.name for path in machine.work.iterdir()} == {"shards", "shards.source.zip", "run"}
    left = [path.relative_to(machine.home) for path in machine.home.rglob("*") if not path.is_relative_to(machine.work)]
    assert {path.as_posix() for path in left if len(path.parts) < 3} == {".cache", ".cache/headrace"}
    assert list(machine.temporary.iterdir()) == []


def test_tested_set(machine: Machine, wheel: Path) -> None:
    """The versions of requirements/cpu.txt, with hashes, and the wheel: commands run, and removal leaves nothing."""
    machine.install(f"torch=={TORCH}", "-c", ROOT / "constraints.txt")
    machine.install("--require-hashes", "--no-deps", "-r", ROOT / "requirements/cpu.txt")
    before = machine.files()
    machine.install("--no-deps", wheel)
    machine.run("python", "-m", "pip", "check")
    use(machine)
    removed(machine, before)


def test_lowest_set(machine: Machine, wheel: Path) -> None:
    """The lowest version of each requirement but torch: pip finds the wheel's metadata met, and commands run."""
    assert UV.exists(), "`make test-installs` makes the environment that has uv"
    machine.install("--no-deps", f"torch=={TORCH}")
    machine.install_lowest()
    before = machine.files()
    machine.install("--no-deps", wheel)
    machine.run("python", "-m", "pip", "check")
    lowest = dict(one.split(">=") for one in PROJECT["dependencies"] if one.count(">=") == 1 and "," not in one)
    for package in ("numpy", "pyarrow", "pydantic", "numba", "click"):
        assert f"{machine.version(package)}.".startswith(f"{lowest[package]}."), package
    use(machine)
    removed(machine, before)
