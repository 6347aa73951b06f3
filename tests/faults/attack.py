"""The attack: every kind of input with every seed, several at a time, in processes that have loaded everything.

    python -m tests.faults.attack TARGET SEED

tries one case again, and leaves its room behind.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults import worker
from tests.faults.attack_runs import RUNS
from tests.faults.attack_sets import SETS
from tests.faults.attack_sources import SOURCES
from tests.faults.targets import Case, Target


class Tried(NamedTuple):
    """What is wrong, in words, and the exit codes that were seen."""

    wrong: list[str]
    codes: set[int]


TARGETS: dict[str, Target] = {one.name: one for one in (*SOURCES, *SETS, *RUNS)}


def load_all() -> None:
    """Have this process import what commands import late, so that the children that it forks need not."""
    import numba.core.registry
    import nvidia.dali.pipeline
    import nvidia.nvimgcodec  # noqa: F401
    import pyarrow.dataset  # noqa: F401
    import torch._dynamo  # noqa: F401

    import headrace.prep.adopt
    import headrace.prep.convert
    import headrace.prep.figures
    import headrace.prep.summary
    import headrace.prep.verify
    import headrace.train.input.decode.cpu
    import headrace.train.input.kernels.scale
    import headrace.train.machine.launch
    import headrace.train.recipe.catalogue
    import headrace.train.run.evaluation
    import headrace.train.run.preflight
    import headrace.train.run.training  # noqa: F401

    target = numba.core.registry.cpu_target
    target.typing_context.refresh()
    target.target_context.refresh()
    worker.narrow(pytest.MonkeyPatch())


def attackers() -> ProcessPoolExecutor:
    """A pool of such processes, one for each core."""
    return ProcessPoolExecutor(len(os.sched_getaffinity(0)), get_context("spawn"), load_all)


def build(name: str, whole: Path) -> None:
    """Make what the cases of a target share, in a new folder."""
    whole.mkdir(parents=True)
    TARGETS[name].build(whole)


def attack(name: str, whole: Path, room: Path, seed: int) -> Tried:
    """Try one case. Its room stays only where something is wrong."""
    case = Case(whole, room, seed)
    TARGETS[name].attack(case)
    if not case.wrong:
        shutil.rmtree(room)
    return Tried([f"{name}, seed {seed}, {case.spoilt}: {line}" for line in case.wrong], case.codes)


def tried(pool: ProcessPoolExecutor, name: str, folder: Path, seeds: Iterable[int]) -> Tried:
    """Try a target with these seeds."""
    whole = folder / "whole"
    pool.submit(build, name, whole).result()
    cases = [pool.submit(attack, name, whole, folder / f"seed-{seed}", seed) for seed in seeds]
    results = [case.result() for case in cases]
    return Tried([line for one in results for line in one.wrong], {code for one in results for code in one.codes})


if __name__ == "__main__":
    load_all()
    folder = Path(tempfile.mkdtemp())
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    build(sys.argv[1], folder / "whole")
    for line in attack(sys.argv[1], folder / "whole", folder / "case", int(sys.argv[2])).wrong:
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"{folder}\n")
