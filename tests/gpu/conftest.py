"""Tests of the real device. Without one they are skipped; only `simulated` does without, and asks for no numbers."""

from pathlib import Path

import pytest
import torch

from headrace.train.machine.device import Accelerator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, and skip them where torch sees no GPU."""
    here = Path(__file__).parent
    missing = pytest.mark.skip(reason=f"needs an NVIDIA GPU; torch {torch.__version__} sees none")
    for item in items:
        if here in item.path.parents and here / "simulated" not in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            if not Accelerator.look().count:
                item.add_marker(missing)


@pytest.fixture
def gpu() -> Accelerator:
    """The first GPU."""
    return Accelerator(0)
