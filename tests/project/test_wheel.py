import os
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.checkout import ROOT
from tests.project.sources import ROOMS, kept

FACADE = ("__init__.py", "__main__.py", "cli.py", "constraints.txt", "predicting.py", "py.typed")
SHIPPED = (*ROOMS, *FACADE, "building", "pyproject.toml", "MANIFEST.in", "PACKAGE.md", "LICENSE", "NOTICE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: an old build folder of the checkout cannot lend it a file."""
    source = tmp_path_factory.mktemp("source")
    for path in kept():
        if path.split("/")[0] in SHIPPED:
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, source / path)
    run(source, sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist")
    (built,) = (source / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a new environment with the wheel; the tests' own environment lends what it requires."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", str(python))
    run(folder, *pip, "install", "--no-deps", "--quiet", str(wheel))
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run(folder, str(python), "-c", asked).strip())
    # A folder named in a .pth comes after the wheel's own, and its editable installs stay shut.
    (packages / "lent.pth").write_text("\n".join(site.getsitepackages()))
    return python.parent


def run(folder: Path, *command: str) -> str:
    """What the command prints, with no PYTHONPATH to find the checkout by; a failure shows all of it."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """Every file of the package is in it, recipes and the type marker too; at its top there is only `headrace`."""
    inside = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert inside == {f"headrace/{path}" for path in kept() if path.split("/")[0] in (*ROOMS, *FACADE)}


def test_package_runs_beside_modules_of_the_users_own(environment: Path, tmp_path: Path) -> None:
    """In a folder with a train.py, a cli.py and a prep/: prep, train and eval, in this process and in two ranks."""
    (tmp_path / "prep").mkdir()
    for name in ("train.py", "cli.py", "shards.py", "prep/__init__.py"):
        (tmp_path / name).write_text("raise SystemExit('the user's own')")
    headrace = str(environment / "headrace")
    settings = ("--recipe=demo", "--device=cpu", "--set=train.epochs=1", "--set=train.global_batch=24")
    more = ("--set=train.group=12", "--set=runtime.threads=1", "--set=runtime.precision=fp32")
    run(tmp_path, headrace, "prep", "--demo", "set", "--per-class", "4")
    run(tmp_path, headrace, "train", "set", "--out=run", "--nproc=2", *settings, *more)
    assert "Test Acc: " in run(tmp_path, headrace, "eval", "run/last.pt", "set", "--device=cpu")


def test_command_runs_outside_the_checkout(environment: Path, tmp_path: Path) -> None:
    """The installed command prints its help."""
    assert "Usage: headrace" in run(tmp_path, str(environment / "headrace"), "--help")


def test_recipes_are_found_outside_the_checkout(environment: Path, tmp_path: Path) -> None:
    """Every shipped recipe loads from the installed package, and there is at least one."""
    program = (
        "from headrace.train.recipe import recipe\n"
        "names = recipe.shipped_recipes()\n"
        "[recipe.load_recipe(name) for name in names]\n"
        "print(recipe.__file__, len(names))"
    )
    where, count = run(tmp_path, str(environment / "python"), "-c", program).split()
    assert Path(where).is_relative_to(environment.parent)
    assert int(count) > 0
