"""A rank that is busy gives signs of life, whatever it does: with 5 s of silence allowed, parts of 9 s end nothing."""

from pathlib import Path

import pytest

from tests.faults.busy import seconds_of
from tests.faults.runs import STEPS, arguments, complete_on_two_agents, losses

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1500)]
SILENCE, BUSY = 5.0, 9.0
PATIENCE = 1200.0


@pytest.fixture(scope="module")
def parts(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """The seconds of each part of a run on two agents, which count as two hosts; it ends well, without a restart."""
    folder = tmp_path_factory.mktemp("busy")
    values = {"runtime__compile": "default", "runtime__cache": "decoded", "runtime__cache_dir": str(folder)}
    given = arguments(tiny_set, folder / "run", runtime__silent_seconds=SILENCE, runtime__checkpoint_steps=5, **values)
    fault = {"what": "busy", "seconds": BUSY, "notes": str(folder / "notes")}
    complete_on_two_agents(given, PATIENCE, fault)
    assert len(losses(folder / "run")) == STEPS
    return seconds_of(folder / "notes")


@pytest.mark.parametrize("part", ["compile", "cache", "stage", "save", "evaluation"])
def test_long_part_is_no_silence(parts: dict[str, float], part: str) -> None:
    """The part took longer than the time that counts as silence, and the run went on."""
    assert parts[part] >= BUSY > SILENCE
