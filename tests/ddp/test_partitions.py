"""Partitions change the order, and no more than that: the same run on any number of processes."""

from functools import partial
from pathlib import Path

import pytest
import torch

from tests.ddp.conftest import SETTINGS, STEPS, Outcome, Outcomes
from tests.ddp.processes import run_ranks


@pytest.mark.faults  # three runs of ten steps in float64
def test_run_with_partitions_is_that_of_one_process(outcomes: Outcomes, tiny_set: Path, tmp_path: Path) -> None:
    """Samples, losses and weights on two processes are those on one, and samples are not those without partitions."""
    runs = {}
    for size in (1, 2):
        run_ranks("train_worker.py", size, tiny_set, tmp_path / str(size), *SETTINGS, "train.partitions=2")
        runs[size] = Outcome(tmp_path / str(size))
    assert len(runs[1].losses) == STEPS
    assert runs[2].pixels == runs[1].pixels
    assert runs[1].pixels != outcomes[1].pixels
    assert runs[2].losses == pytest.approx(runs[1].losses, abs=1e-9)
    for name, value in runs[1].state["model"].items():
        if value.is_floating_point():
            torch.testing.assert_close(
                runs[2].state["model"][name], value, rtol=0, atol=1e-9, msg=partial("{}: {}".format, name)
            )
