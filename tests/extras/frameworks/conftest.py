"""What the tests of all frameworks compare with: the batches of examples/plain.py on one rank."""

from pathlib import Path

import pytest

from tests.ddp.examples import Row, run_example, seen


@pytest.fixture(scope="session")
def plain(example_set: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """The rows of two uninterrupted epochs."""
    out = tmp_path_factory.mktemp("plain")
    run_example("plain.py", example_set, out, 1, "--epochs=2", f"--checkpoint={out / 'plain.pt'}")
    return seen(out)
