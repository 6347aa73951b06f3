"""Where numba cannot be imported a run says so once, and has the same bits."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.ddp.conftest import SETTINGS, Outcome, Outcomes
from tests.ddp.processes import free_port, rank_environment

SAID = "warning: numba cannot be imported (ImportError: Numba needs another NumPy. Got none.), so images are read"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One rank, in which `import numba` fails as it does beside a release of NumPy that it does not know."""
    stub = tmp_path / "stub/numba"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("raise ImportError('Numba needs another NumPy.\\nGot none.')\n")
    given = rank_environment(0, 1, free_port())
    return {**given, "PYTHONPATH": f"{stub.parent}:{given['PYTHONPATH']}"}


def test_run_has_the_same_bits(outcomes: Outcomes, tiny_set: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """Pixels of all samples, losses of all steps and the evaluation are those of compiled loops."""
    command = [sys.executable, *map(str, (ROOT / "tests/ddp/train_worker.py", tiny_set, tmp_path / "run")), *SETTINGS]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    assert (ended.stdout + ended.stderr).count(SAID) == 1, ended.stdout
    found = Outcome(tmp_path / "run")
    assert found.pixels == outcomes[1].pixels
    assert found.losses == outcomes[1].losses
    assert found.epoch["validation_loss"] == outcomes[1].epoch["validation_loss"]
