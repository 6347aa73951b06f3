"""Tests of the real device. Without one they are skipped; nothing here stands in for it."""

from pathlib import Path

import pytest
import torch

from headrace.train.machine.device import Accelerator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder, and skip them where torch sees no GPU."""
    missing = pytest.mark.skip(reason=f"needs an NVIDIA GPU; torch {torch.__version__} sees none")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            if not Accelerator.look().count:
                item.add_marker(missing)


@pytest.fixture
def gpu() -> Accelerator:
    """The first GPU."""
    return Accelerator(0)
