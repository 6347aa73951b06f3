"""Runs of `benchmarks.whole.partitions` outlast a stop, and its recipe is one of today."""

from pathlib import Path

import pytest

from benchmarks.whole.partitions import RECIPE, finished, keep
from headrace.train.recipe.recipe import load_recipe


def test_finished_runs_outlast_a_cut(tmp_path: Path) -> None:
    """Cut after any byte, the file has all runs before it, and takes the next one."""
    kept, runs = tmp_path / "runs.jsonl", [{"case": ["sorted", 4, seed], "seconds": 1.5} for seed in range(3)]
    assert finished(kept) == []
    keep(kept, runs[0])
    first = kept.stat().st_size
    keep(kept, runs[1])
    whole = kept.read_bytes()
    for size in range(first, len(whole) - 1):
        kept.write_bytes(whole[:size])
        keep(kept, runs[2])
        assert finished(kept) in ([runs[0], runs[2]], runs)


@pytest.mark.parametrize("partitions", [1, 4, 16])
def test_recipe_takes_all_partitions(partitions: int) -> None:
    """Each divides its groups; nothing is left open."""
    train = load_recipe(str(RECIPE), [f"train.partitions={partitions}"]).train
    assert (train.global_batch, train.group, train.partitions) == (256, 16, partitions)
