"""A compiled network inside DDP: gradients are exchanged once a step, whatever the micro-batches before."""

from functools import partial
from pathlib import Path

import pytest
import torch

from tests.ddp.conftest import SETTINGS, Outcome, Outcomes
from tests.ddp.processes import run_ranks


@pytest.mark.faults  # each rank traces the network, for ten seconds and more; tests/train/step compiles in one process
def test_compiled_ranks_agree_with_one_plain_process(outcomes: Outcomes, tiny_set: Path, tmp_path: Path) -> None:
    """Two ranks, three micro-batches each, gradients in memory of their own as under CUDA graphs: the same to 1e-9."""
    settings = (*SETTINGS, "runtime.compile=reduce-overhead", "runtime.bucket_mib=1")
    run_ranks("compiled_worker.py", 2, tiny_set, tmp_path / "run", *settings)
    found, plain = Outcome(tmp_path / "run"), outcomes[1]
    assert found.losses == pytest.approx(plain.losses, abs=1e-9)
    for name, value in plain.state["model"].items():
        if value.is_floating_point():
            torch.testing.assert_close(
                found.state["model"][name], value, rtol=0, atol=1e-9, msg=partial("{}: {}".format, name)
            )
