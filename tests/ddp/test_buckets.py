"""In which messages two processes exchange gradients."""

import json
from pathlib import Path

from tests.ddp.processes import run_ranks


def test_smaller_messages_leave_less_to_the_end(tmp_path: Path) -> None:
    """The last message of EfficientNet-B0 leaves after the whole backward pass: beside nothing that hides it."""
    run_ranks("buckets_worker.py", 2, tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    own, smaller = found["None"], found["4"]
    assert sum(own) == sum(smaller)
    assert own[-1] > 0.8 * sum(own)
    assert smaller[-1] < 0.4 * sum(smaller)
    assert max(smaller) < 6 * 2**20
