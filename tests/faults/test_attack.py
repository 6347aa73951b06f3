"""Thousands of mutated inputs in the manner of an attack, each with the commands that a user would give it.

What shall hold for each: exit code 0, 2 or 3, and 1 only for a run that failed; no signal and no traceback; nothing
written outside OUT; after an error a line that names the file; and with exit code 0 no file of the source is lost
without a word, by the word of programs that are not Headrace. A failure names the target and the seed, with which
`python -m tests.faults.attack TARGET SEED` tries that case again.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.prep.sources import zip_directory
from headrace.prep.sources.zip_directory import Directory
from tests.faults.attack import TARGETS, attack, attackers, build, tried
from tests.faults.targets import Case

SEEDS = range(140)
ALWAYS_REFUSED = ("index",)  # the manifest has the SHA-256 of its bytes
NEVER_REFUSED = ("log", "interrupted prep")  # a run, or a prep, goes on whatever these have become


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """Processes that have loaded everything."""
    with attackers() as pool:
        yield pool


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("seeds", [SEEDS], ids=lambda seeds: f"seeds {seeds.start} to {seeds.stop - 1}")
def test_mutated_input(pool: ProcessPoolExecutor, name: str, seeds: range, tmp_path: Path) -> None:
    """No traceback, no silent loss, the right exit code, and nothing written outside OUT."""
    wrong, codes = tried(pool, name, tmp_path, seeds)
    assert wrong == [], "\n".join([f"{len(wrong)} are wrong", *wrong[:20]])
    assert 0 in codes or name in ALWAYS_REFUSED, "nothing was accepted, so nothing was compared"
    assert codes != {0} or name in NEVER_REFUSED


def test_attack_is_large_enough() -> None:
    """There are at least 2,800 cases."""
    assert len(TARGETS) * len(SEEDS) >= 2800


def test_loss_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attack finds a prep that passes over a file."""
    build("fields of a zip", tmp_path / "whole")
    monkeypatch.setattr(zip_directory, "_parse", partial(_without_one, zip_directory._parse))
    wrong = [
        line
        for seed in range(6)
        for line in attack("fields of a zip", tmp_path / "whole", tmp_path / str(seed), seed).wrong
    ]
    assert any("val/cat/2.jpg is lost without a word" in line for line in wrong), wrong


def _without_one(parse: Callable[..., Directory], *given: Any) -> Directory:
    found = parse(*given)
    return replace(found, files=found.files.take(np.arange(len(found.files) - 1)))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "ended by a signal"),
        (lambda: 1 / 0, "a traceback"),
        (lambda: sys.exit(1), "none of the exit codes"),
        (lambda: sys.exit(3), "no line names the file"),
        (lambda: sys.stdout.write("\x1b[31m\n"), "raw control characters"),
        (lambda: Path("of-mine").touch(), "wrote elsewhere: ['home/of-mine']"),
    ],
)
def test_wrong_end_is_seen(fault: Callable[[], object], words: str, tmp_path: Path) -> None:
    """The attack finds whatever else a command may do wrong."""
    (tmp_path / "whole" / "room").mkdir(parents=True)
    case = Case(tmp_path / "whole", tmp_path / "case", seed=0)
    case.ask("recipes")
    assert case.wrong == []
    case.ask("recipes", before=fault)
    assert any(words in line for line in case.wrong), case.wrong
