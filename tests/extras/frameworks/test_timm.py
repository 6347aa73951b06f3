"""examples/timm_train.md: its blocks, run with the timm package and what train.py passes them."""

import re
from pathlib import Path

import pytest

from tests import warm
from tests.checkout import ROOT
from tests.ddp.processes import free_port, rank_environment

PAGE = ROOT / "examples/timm_train.md"
WORKER = Path(__file__).with_name("timm_worker.py")


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_blocks_of_the_page(example_set: Path, tmp_path: Path, ranks: int) -> None:
    """Mixed and plain batches, the epoch that a resume begins with, and exact sums of validation on several ranks."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 2
    for name, block in zip(("loaders.py", "sums.py"), blocks, strict=True):
        (tmp_path / name).write_text(block, "utf-8")
    port = free_port()
    environments = [rank_environment(rank, ranks, port) | {"OMP_NUM_THREADS": "1"} for rank in range(ranks)]
    given = [str(tmp_path), str(example_set)]
    for rank in warm.run([warm.Job(str(WORKER), given, environment) for environment in environments], 120):
        assert (rank.code, rank.output) == (0, "checked\n"), rank.errors
