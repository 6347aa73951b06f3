"""What the trial of the doctor slows jobs down with: that it does, and nothing besides."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import which

import pytest

from benchmarks.doctor.slowdowns import KINDS, Base, Slowdown, compile_library, run_slowly
from headrace.train.recipe.recipe import load_recipe
from tests.checkout import SEARCH

READING = """
import json, os, sys, time
seconds = []
for name in sys.argv[1:]:
    descriptor, began = os.open(name, os.O_RDONLY), time.perf_counter()
    assert all(len(os.pread(descriptor, 1000, offset)) == 1000 for offset in range(0, 10_000, 1000))
    seconds.append(time.perf_counter() - began)
print(json.dumps([seconds, os.nice(0)]))
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """A job of 100 images a second, whose files have 1,000 bytes."""
    if which("cc") is None:
        pytest.skip("no C compiler")
    return Base(100, 1000, 1, 2, compile_library(tmp_path_factory.mktemp("library")))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """A tar, and a file that is none."""
    paths = [tmp_path / "one.tar", tmp_path / "one.bin"]
    for path in paths:
        path.write_bytes(bytes(10_000))
    return paths


@pytest.mark.parametrize("name", ["disk", "file system"])
def test_reads_of_tars_take_their_time(base: Base, files: list[Path], name: str) -> None:
    """Ten files at half of 100 images a second take a fifth of a second, and reads of other files none."""
    (slow,) = (one for kind in KINDS if (one := kind(base, 0.5)).kind == name)
    command = [sys.executable, "-c", READING, *map(str, files)]
    (tar, other), _ = json.loads(run_slowly(command, slow, {}))
    assert 0.2 <= tar < 2
    assert other < 0.1
    (tar, _), _ = json.loads(run_slowly(command, None, {}))
    assert tar < 0.1


def test_nice_value_and_programs_beside_it(base: Base, files: list[Path]) -> None:
    """The command has its nice value; the other programs are over when it is."""
    slow = Slowdown("nice", 0.5, "cpu", nice=3, spinning=1)
    _, nice = json.loads(run_slowly([sys.executable, "-c", READING, str(files[1])], slow, {}))
    assert nice == min(19, os.nice(0) + 3)
    assert base.cores == 2


def test_fewer_cores() -> None:
    """The command has one core; this process has its own again afterwards."""
    own = os.sched_getaffinity(0)
    asking = "import os; print(len(os.sched_getaffinity(0)))"
    assert run_slowly([sys.executable, "-c", asking], Slowdown("affinity", 0.5, "compute", cores=1), {}).strip() == "1"
    assert os.sched_getaffinity(0) == own


@pytest.mark.parametrize("kind", KINDS)
def test_every_strength_can_be_drawn(kind: Callable[[Base, float], Slowdown]) -> None:
    """Settings are a recipe's, and each strength slows something down."""
    for left in (0.3, 0.5, 0.7):
        slow = kind(Base(500, 2000, 2, 2, Path("library")), left)
        load_recipe("demo", slow.settings)
        assert slow.environment or slow.settings or slow.spinning or slow.quota or slow.cores == 1
        assert slow.expected in ("cpu", "storage", "compute")


def test_failure_is_told() -> None:
    """A command that fails ends the trial with its last words."""
    with pytest.raises(RuntimeError, match="no such thing"):
        run_slowly([sys.executable, "-c", "raise SystemExit('no such thing')"], None, {"PYTHONPATH": SEARCH})
