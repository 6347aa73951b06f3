"""examples/with_accelerate.py: it sees the batches of the plain loop, also when stopped and resumed on more ranks."""

import re
from pathlib import Path

from tests.ddp.examples import Row, run_example, seen


def test_resume_on_more_ranks(example_set: Path, tmp_path: Path, plain: list[Row]) -> None:
    """Stopped at 4 and at 8 of the first epoch: 1, then 2, then 3 ranks have the same ids, pixels and targets."""
    options = ("with_accelerate.py", example_set, tmp_path)
    rest = ("--epochs=2", f"--out={tmp_path / 'run'}")
    run_example(*options, 1, *rest, "--stop=4")
    run_example(*options, 2, *rest, "--stop=8", "--resume")
    output = run_example(*options, 3, *rest, "--resume")
    assert re.findall(r"epoch (\d): \d+ of (\d+) correct", output) == [("1", "120"), ("2", "120")]
    assert seen(tmp_path) == plain
