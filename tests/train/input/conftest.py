"""Fixtures that tests of the input share."""

from collections.abc import Iterator

import pytest

from headrace.train.input.loader import Loader


@pytest.fixture
def opened() -> Iterator[list[Loader]]:
    """Yield a list of loaders, which are closed after the test."""
    loaders: list[Loader] = []
    yield loaders
    for loader in loaders:
        loader.close()
