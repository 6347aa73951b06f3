"""Real TinyImageNet on 1, 2, 3 and 6 processes: the same samples and pixels, each validation image once."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.ddp.processes import run_ranks

pytestmark = pytest.mark.real

BATCH, GROUP, STEPS, RESTART = 96, 16, 40, 25
SETTINGS = (
    f"train.global_batch={BATCH}",
    f"train.group={GROUP}",
    "augment.crop_area=[0.08, 1.0]",
    "evaluate.size=32",
    "evaluate.batch=250",
    "runtime.device=cpu",
    "runtime.threads=1",
)
SIX = pytest.param(6, marks=pytest.mark.faults)
SIZES = (1, 2, 3, SIX)
EPOCH_STEPS = -(-100_000 // BATCH)
Columns = dict[str, np.ndarray]
Runs = Callable[[int, int], Columns]


def seen_by(folder: Path, size: int) -> Columns:
    """What all ranks together saw, in the order of (step, group)."""
    ranks = [np.load(folder / f"{rank}.npz") for rank in range(size)]
    columns = {name: np.concatenate([rank[name] for rank in ranks]) for name in ranks[0] if ranks[0][name].ndim}
    order = np.lexsort((columns["group"], columns["step"]))
    decoded = {name: columns[name][order] for name in ("step", "group", "ids", "pixels")}
    counts = {name: np.array([rank[name] for rank in ranks]) for name in ("counted", "correct") if name in ranks[0]}
    return {**decoded, **counts, "epoch_step": columns["epoch_step"], "epoch_ids": columns["epoch_ids"]}


@pytest.fixture(scope="module")
def runs(real_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """What is seen on a number of processes from a first step on; each run is made when a test first asks for it."""

    @cache
    def run(size: int, first: int) -> Columns:
        folder = tmp_path_factory.mktemp(f"{size}-{first}")
        run_ranks("feed_worker.py", size, real_set, folder, str(first), str(STEPS - first), *SETTINGS)
        return seen_by(folder, size)

    return run


@pytest.mark.parametrize("size", SIZES)
def test_global_batches_are_equal(runs: Runs, size: int) -> None:
    """At every step the ranks of N processes together get the samples that one process gets, group by group."""
    alone, together = runs(1, 0), runs(size, 0)
    assert len(alone["ids"]) == STEPS * BATCH
    for name in ("step", "group", "ids"):
        assert np.array_equal(together[name], alone[name]), name


@pytest.mark.parametrize("size", SIZES)
def test_pixels_are_bit_equal(runs: Runs, size: int) -> None:
    """Every augmented image of 40 steps has the same pixels on any number of processes."""
    assert np.array_equal(runs(size, 0)["pixels"], runs(1, 0)["pixels"])


@pytest.mark.parametrize("size", [pytest.param(1, marks=pytest.mark.faults), 2, 3, SIX])
def test_restart_in_mid_epoch_is_exact(runs: Runs, size: int) -> None:
    """A restart at step 25, on any number of processes, gives the samples and pixels of the undisturbed run."""
    rest = runs(1, 0)["step"] >= RESTART
    for name in ("step", "ids", "pixels"):
        assert np.array_equal(runs(size, RESTART)[name], runs(1, 0)[name][rest]), name


@pytest.mark.parametrize("size", SIZES)
def test_epoch_is_the_set(runs: Runs, size: int) -> None:
    """The first 100,000 positions, over all ranks, are every training image exactly once."""
    steps, ids = runs(size, 0)["epoch_step"], runs(size, 0)["epoch_ids"]
    assert len(ids) == EPOCH_STEPS * BATCH
    assert np.array_equal(np.bincount(steps), np.full(EPOCH_STEPS, BATCH))
    repeated = len(ids) - 100_000  # the last batch straddles into the next epoch
    counts = np.bincount(ids, minlength=100_000)
    assert (counts >= 1).all()
    assert counts.sum() - 100_000 == repeated < BATCH


@pytest.mark.parametrize("size", SIZES)
def test_validation_counts_every_image(runs: Runs, size: int) -> None:
    """Evaluation counts 10,000 of 10,000 images and finds the same number correct, on every rank."""
    assert (runs(size, 0)["counted"] == 10_000).all()
    assert (runs(size, 0)["correct"] == runs(1, 0)["correct"][0]).all()
