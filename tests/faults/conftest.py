"""What fault tests share: the narrow network in this process, and a run that nothing disturbed."""

from functools import partial
from pathlib import Path

import pytest

from headrace.train.model.build import build_model
from headrace.train.run import assemble
from tests.faults.runs import arguments, complete, here
from tests.train.networks import NARROW


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in this process build a network that is fast to train."""
    monkeypatch.setattr(assemble, "build_model", partial(build_model, **NARROW))


@pytest.fixture(scope="session")
def undisturbed(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of one epoch on one process, a checkpoint every 2 steps."""
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assemble, "build_model", partial(build_model, **NARROW))
        result = here(*arguments(tiny_set, out))
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(scope="session")
def pair(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of an undisturbed run on two processes."""
    out = tmp_path_factory.mktemp("pair") / "run"
    complete(arguments(tiny_set, out, "--nproc", "2"))
    return out
