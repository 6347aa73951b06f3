"""A sound checkpoint of each optimizer, and the path of a changed one."""

from pathlib import Path

import pytest

from tests.train.saved_states import OPTIMIZERS, save_one


@pytest.fixture(scope="module")
def sound(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return a checkpoint of each optimizer."""
    folder = tmp_path_factory.mktemp("saved")
    return {name: save_one(tiny_set, folder / name, f"optim.name={name}").read_bytes() for name in OPTIMIZERS}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path for the changed file; its name has no hash."""
    return tmp_path / "given.pt"
