"""Loops compiled by numba are stored if possible, never outdated, and never loaded if nothing needs them."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.train.input.kernels import kept
from headrace.train.input.kernels.jit import jit
from tests.checkout import SEARCH

KERNEL = """
import sys
from headrace.train.input.kernels.jit import jit
from kernels.called import SHIFT, scaled

@jit
def kernel(x):
    return scaled(x) + SHIFT

if __name__ != "__main__":
    seen = kernel(5), sum(kernel.stats.cache_hits.values())
"""
CALLED = """
from headrace.train.input.kernels.jit import jit
SHIFT = {shift}

@jit
def scaled(x):
    return {factor} * x
"""
RUN = (
    "from kernels import kernel; from headrace.train.input.kernels.kept import LOOPS\n"
    "print(*kernel.seen, LOOPS.trouble)"
)


@jit
def plus_one(x: int) -> int:
    """A function that compiles quickly."""
    return x + 1


@jit
def count_to(end: int) -> int:
    """A function that runs for a while."""
    state = 1
    for turn in range(end):
        state = (state * 6364136223846793005 + turn) & 0xFFFFFFFF
    return state


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a cache folder for these tests, with one compiled function in it."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("kept")
        patch.setenv("XDG_CACHE_HOME", str(home))
        assert anew() == (2, 0)
        yield home / "headrace/loops"


def anew() -> tuple[int, int]:
    """Return the function's result as in a new process, and whether its code was loaded instead of compiled."""
    fresh: Any = jit(plus_one.py_func)  # type: ignore[attr-defined]
    return fresh(1), sum(fresh.stats.cache_hits.values())


def test_other_process_finds_it(folder: Path) -> None:
    """Code that was compiled once is loaded later from one file that only the user can write."""
    assert anew() == (2, 1)
    (path,) = folder.iterdir()
    assert path.name.startswith(f"{plus_one.__module__}.plus_one-")
    assert path.parent.stat().st_mode & 0o777 == 0o700


def damage(path: Path, at: int, bit: int | None) -> None:
    """Truncate a file at a byte, or flip a bit of that byte."""
    data = bytearray(path.read_bytes())
    at %= len(data)
    if bit is None:
        del data[at:]
    else:
        data[at] ^= 1 << bit
    path.write_bytes(data)


PLACES = st.tuples(st.one_of(st.integers(0, 40), st.integers(0, 1 << 20)), st.one_of(st.none(), st.integers(0, 7)))


def check_made_again(folder: Path, where: tuple[int, int | None]) -> None:
    """Check that the damaged file is not loaded, the result is right, and the file is whole again."""
    (path,) = folder.iterdir()
    damage(path, *where)
    assert anew() == (2, 0)
    assert anew() == (2, 1)
    assert list(folder.iterdir()) == [path]


@settings(max_examples=5)
@given(where=PLACES)
def test_damaged_file_is_made_again(folder: Path, where: tuple[int, int | None]) -> None:
    """A file that is truncated anywhere, or has a flipped bit, is compiled again without a message."""
    check_made_again(folder, where)


@pytest.mark.faults
@settings(max_examples=200)
@given(where=PLACES)
def test_damaged_file_is_made_again_two_hundred_times(folder: Path, where: tuple[int, int | None]) -> None:
    """The same holds at more places."""
    check_made_again(folder, where)


def run(tmp_path: Path, **environment: str) -> "subprocess.Popen[str]":
    """Run a process that loads a kernel from the folder, and prints the result, the source and any trouble."""
    paths = os.pathsep.join(map(str, (tmp_path, SEARCH)))
    env = {**os.environ, "PYTHONPATH": paths, "XDG_CACHE_HOME": str(tmp_path), **environment}
    return subprocess.Popen(
        [sys.executable, "-c", RUN], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def seen(process: "subprocess.Popen[str]") -> str:
    """Return what the process printed, after checking that it succeeded without output on standard error."""
    output, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    return output.strip()


def write_kernel(tmp_path: Path, factor: int, shift: int) -> None:
    """Write a function that calls a function, and uses a constant, of another file."""
    (tmp_path / "kernels").mkdir(exist_ok=True)
    (tmp_path / "kernels/kernel.py").write_text(KERNEL)
    (tmp_path / "kernels/called.py").write_text(CALLED.format(factor=factor, shift=shift))


def test_edit_in_a_file_that_is_called_is_never_missed(tmp_path: Path) -> None:
    """After a change in the other file the next process has the new result; after undoing it, the old one."""
    write_kernel(tmp_path, 2, 1)
    assert seen(run(tmp_path)) == "11 0"
    write_kernel(tmp_path, 3, 2)
    assert seen(run(tmp_path)) == "17 0"
    write_kernel(tmp_path, 2, 1)
    assert seen(run(tmp_path)) == "11 1"
    assert not list((tmp_path / "kernels").rglob("*.nb[ci]"))


def test_processes_that_fill_it_at_once(tmp_path: Path) -> None:
    """Processes that start without stored code all compile, each result is right, and the next process loads it."""
    write_kernel(tmp_path, 2, 1)
    processes = [run(tmp_path) for _ in range(3)]
    assert {seen(process)[:2] for process in processes} == {"11"}
    names = sorted(path.name.partition("-")[0] for path in (tmp_path / "headrace/loops").iterdir())
    assert names == ["kernels.called.scaled", "kernels.kernel.kernel"]
    assert seen(run(tmp_path)) == "11 1"


def test_without_a_place_it_compiles_and_says_so(tmp_path: Path) -> None:
    """If no private folder can be made, the result is right, and the user gets a warning."""
    write_kernel(tmp_path, 2, 1)
    said = "compiled loops cannot be kept, so every start compiles them again, which takes some seconds: there is no"
    assert seen(run(tmp_path, XDG_CACHE_HOME="/dev/null")).startswith(f"11 0 {said}")


def test_kept_for_these_versions_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code of another version of numba, llvmlite, NumPy or Python is not loaded, and stays for such a process."""
    (path,) = folder.iterdir()
    monkeypatch.setattr(sys.modules["headrace.train.input.kernels.jit"], "_VERSIONS", ("0.1",))
    assert anew() == (2, 0)
    monkeypatch.undo()
    assert anew() == (2, 1)
    for other in set(folder.iterdir()) - {path}:
        other.unlink()


def test_kept_for_this_processor_alone(folder: Path) -> None:
    """The key includes the processor's name and features, as LLVM reports them."""
    fresh: Any = jit(plus_one.py_func)  # type: ignore[attr-defined]

    class Codegen:
        def __init__(self, *features: str) -> None:
            self.magic_tuple = lambda: features

    keys = {fresh._cache._key((), Codegen("x86_64", "cpu", features)) for features in ("+avx2", "+avx512f")}
    assert len(keys) == 2
    assert folder.exists()


def test_function_without_a_file_is_compiled_all_the_same() -> None:
    """A function whose code cannot be stored, because it has no file, still works."""
    names: dict[str, object] = {"__file__": __file__, "__name__": __name__}
    exec("def doubled(x):\n    return 2 * x", names)  # noqa: S102  the way to a function that lies in no file
    doubled = jit(names["doubled"])  # type: ignore[type-var]
    assert doubled(21) == 42  # type: ignore[operator]


def test_function_with_a_closure_is_not_kept(folder: Path) -> None:
    """A closure is compiled in each process, because its values are in no file; two closures are two functions."""
    before = set(folder.iterdir())

    def plus(number: int) -> Any:
        @jit
        def add(x: int) -> int:
            return x + number

        return add

    assert [plus(number)(1) for number in (1, 2)] == [2, 3]
    assert set(folder.iterdir()) == before
    assert kept.LOOPS.trouble == ""


def test_other_threads_run_meanwhile() -> None:
    """Compiled code does not hold the interpreter's lock: other threads run while it computes."""
    count_to(1)
    thread = threading.Thread(target=count_to, args=(500_000_000,))
    began = time.perf_counter()
    thread.start()
    started = time.perf_counter() - began
    thread.join()
    assert started < 0.5 * (time.perf_counter() - began)


def test_pipeline_of_a_gpu_loads_no_compiler() -> None:
    """Importing everything that a run on a GPU needs from the pipeline does not import numba."""
    code = "import headrace.train.input.decode.pipeline, headrace.train.input.normalise, sys\n"
    code += "sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": SEARCH}, check=True)
