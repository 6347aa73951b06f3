"""examples/plain.py: stopped in mid-epoch and resumed on more ranks, it sees the batches of the uninterrupted run."""

import re
from pathlib import Path

import pytest

from tests.ddp.examples import BATCH, STEPS, Row, run_example, seen


@pytest.fixture(scope="module")
def uninterrupted(example_set: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Row], str]:
    """What one rank saw and printed in two epochs."""
    out = tmp_path_factory.mktemp("uninterrupted")
    output = run_example("plain.py", example_set, out, 1, "--epochs=2", f"--checkpoint={out / 'plain.pt'}")
    return seen(out), output


def test_uninterrupted_run_counts_each_validation_image(uninterrupted: tuple[list[Row], str]) -> None:
    """Two epochs of the whole set, and an accuracy over its 120 validation images after each."""
    rows, output = uninterrupted
    assert len(rows) == len({(step, place) for step, place, _, _ in rows}) == 2 * STEPS * BATCH
    assert re.findall(r"epoch (\d): \d+ of (\d+) correct", output) == [("1", "120"), ("2", "120")]


def test_resume_on_more_ranks(example_set: Path, tmp_path: Path, uninterrupted: tuple[list[Row], str]) -> None:
    """Stopped at 4 and at 8 of the first epoch: 1, then 2, then 3 ranks have the same ids, pixels and targets."""
    options = ("--epochs=2", f"--checkpoint={tmp_path / 'plain.pt'}")
    run_example("plain.py", example_set, tmp_path, 1, *options, "--stop=4")
    run_example("plain.py", example_set, tmp_path, 2, *options, "--stop=8", "--resume")
    output = run_example("plain.py", example_set, tmp_path, 3, *options, "--stop=13", "--resume")
    assert re.findall(r"epoch (\d): \d+ of (\d+) correct", output) == [("1", "120")]
    assert seen(tmp_path) == [row for row in uninterrupted[0] if int(row[0]) < 13]
