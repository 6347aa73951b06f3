"""The files that a release uploads: sound for an index, the same bytes twice, and the sdist as good as the repository.

The quick tests of the sdist are those named in QUICK: of the order, tars and index of a set, and of the project.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from zipfile import ZipFile

from readme_renderer import markdown

from tests.checkout import ROOT
from tests.extras.release.conftest import Built, build, copy_of_the_checkout
from tests.project.sources import kept

_SHARDS = ("draws", "idx", "index_writer", "jpeg", "labels", "manifest", "order", "partitions", "store", "tar", "urls")
QUICK = (
    *(f"tests/shards/test_{name}.py" for name in _SHARDS),
    *(f"tests/project/test_{name}.py" for name in ("facade", "imports", "names", "tree")),
)


def run(*command: str | Path, folder: Path = ROOT) -> str:
    """What the command prints, without the checkout on its path; a failure shows all of it."""
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "HEADRACE_EXTRA"}}
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    return done.stdout


def tool(name: str) -> Path:
    """A command of this environment."""
    return Path(sys.executable).with_name(name)


def unpacked(built: Built, folder: Path) -> Path:
    """The folder of the unpacked sdist."""
    with tarfile.open(built.sdist) as archive:
        archive.extractall(folder, filter="data")
    (inside,) = folder.iterdir()
    return inside


def test_index_would_take_both(built: Built) -> None:
    """`twine check --strict` finds nothing to say about the metadata and the page of either file."""
    assert run(tool("twine"), "check", "--strict", built.wheel, built.sdist).count("PASSED") == 2


def test_wheel_has_no_common_fault(built: Built) -> None:
    """check-wheel-contents: no file twice, no compiled file, nothing beside the package."""
    assert run(tool("check-wheel-contents"), built.wheel).rstrip().endswith("OK")


def test_page_is_rendered_without_dead_links(built: Built) -> None:
    """An index's own renderer accepts the description of the wheel; every link in it has an address."""
    with ZipFile(built.wheel) as wheel:
        (name,) = [one for one in wheel.namelist() if one.endswith(".dist-info/METADATA")]
        _, _, text = wheel.read(name).decode().partition("\n\n")
    said = io.StringIO()
    shown = markdown.render(text, stream=said)
    assert shown, said.getvalue()
    assert "<table>" in shown
    assert re.findall(r'(?:href|src)="(?!https?://|#)([^"]*)', shown) == []


def test_two_builds_have_the_same_bytes(built: Built, tmp_path: Path) -> None:
    """Later, from another folder, with other times and modes of the files, for both files."""
    source = copy_of_the_checkout(tmp_path / "elsewhere")
    for path in (source / "README.md", source / "train/model/build.py"):
        path.chmod(0o664)
        os.utime(path, (1, time.time()))
    again = build(source, tmp_path / "dist", SOURCE_DATE_EPOCH="1700000000")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in built]


def test_sdist_is_the_repository(built: Built) -> None:
    """It has every file that git keeps, and beside them only what setuptools writes."""
    with tarfile.open(built.sdist) as archive:
        inside = {one.name.partition("/")[2] for one in archive.getmembers() if one.isfile()}
    written = {path for path in inside if path.startswith("headrace.egg-info/")} | {"PKG-INFO", "setup.cfg"}
    assert inside - written == {path for path in kept() if not path.startswith(".src/")}


def test_sdist_builds_the_wheel(built: Built, tmp_path: Path) -> None:
    """The wheel that is built from the sdist is that of the repository, to the byte."""
    again = build(unpacked(built, tmp_path / "sdist"), tmp_path / "dist", SOURCE_DATE_EPOCH="1700000000")
    assert again.wheel.read_bytes() == built.wheel.read_bytes()


def test_quick_tests_pass_in_the_sdist(built: Built, tmp_path: Path) -> None:
    """`make` gives the unpacked sdist its link .src/headrace; then its own tests find its own code."""
    source = unpacked(built, tmp_path)
    run("make", ".src/headrace", folder=source)
    assert (source / ".src/headrace").resolve() == source
    shutil.copytree(ROOT / ".pytest_cache/d/loops", source / ".pytest_cache/d/loops", dirs_exist_ok=True)
    assert " passed" in run(sys.executable, "-m", "pytest", "-q", *QUICK, folder=source)
