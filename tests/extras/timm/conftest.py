"""What these tests share: a small part of the real data set where TINY_IMAGENET names it, else drawn images."""

from pathlib import Path

import pytest

from tests.extras.command import real_or_drawn


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory, tiny_set: Path) -> Path:
    """Twelve classes of 40 training and 10 validation images."""
    return real_or_drawn(tmp_path_factory, tiny_set, classes=12, per_class=40)
