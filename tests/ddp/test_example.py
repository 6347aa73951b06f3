"""examples/plain.py: stopped in mid-epoch and resumed on more ranks, it sees the batches of the uninterrupted run."""

import json
import re
from pathlib import Path

import pytest

from tests import warm
from tests.checkout import ROOT
from tests.ddp.processes import free_port, rank_environment

BATCH, STEPS = 48, 10  # of an epoch of the tiny set: 480 samples
OPTIONS = (f"--batch={BATCH}", "--group=4", "--size=32", "--epochs=2", "--lr=0.01")


def run_example(shards: Path, out: Path, ranks: int, *options: str) -> str:
    """Run it in so many ranks, 1 without a process group, and give what rank 0 prints."""
    script, port = str(ROOT / "examples/plain.py"), free_port()
    given = [str(out / "seen"), script, str(shards), *OPTIONS, f"--checkpoint={out / 'plain.pt'}", *options]
    environments = [rank_environment(rank, ranks, port) | {"OMP_NUM_THREADS": "1"} for rank in range(ranks)]
    if ranks == 1:
        del environments[0]["RANK"], environments[0]["WORLD_SIZE"]
    recorder = str(ROOT / "tests/ddp/recorded.py")
    ended = warm.run([warm.Job(recorder, given, environment) for environment in environments], 250)
    for number, rank in enumerate(ended):
        assert rank.code == 0, f"rank {number} of {ranks} ended with {rank.code}:\n{rank.errors}"
    return ended[0].output


def seen(out: Path) -> list[list[int | str]]:
    """Rows of all ranks in order: step, place, id, hash."""
    return sorted(json.loads(line) for path in (out / "seen").glob("*.jsonl") for line in path.open())


@pytest.fixture(scope="module")
def uninterrupted(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[list[int | str]], str]:
    """What one rank saw and printed in two epochs."""
    out = tmp_path_factory.mktemp("uninterrupted")
    output = run_example(tiny_set, out, 1)
    return seen(out), output


def test_uninterrupted_run_counts_each_validation_image(uninterrupted: tuple[list[list[int | str]], str]) -> None:
    """Two epochs of the whole set, and an accuracy over its 120 validation images after each."""
    rows, output = uninterrupted
    assert len(rows) == len({(step, place) for step, place, _, _ in rows}) == 2 * STEPS * BATCH
    assert re.findall(r"epoch (\d): \d+ of (\d+) correct", output) == [("1", "120"), ("2", "120")]


def test_resume_on_more_ranks(tiny_set: Path, tmp_path: Path, uninterrupted: tuple[list[list[int | str]], str]) -> None:
    """Stopped at 4 and at 8 of the first epoch: 1, then 2, then 3 ranks have the same ids, pixels and targets."""
    run_example(tiny_set, tmp_path, 1, "--stop=4")
    run_example(tiny_set, tmp_path, 2, "--stop=8", "--resume")
    output = run_example(tiny_set, tmp_path, 3, "--stop=13", "--resume")
    assert re.findall(r"epoch (\d): \d+ of (\d+) correct", output) == [("1", "120")]
    assert seen(tmp_path) == [row for row in uninterrupted[0] if int(row[0]) < 13]
