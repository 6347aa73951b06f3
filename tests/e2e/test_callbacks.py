"""Callbacks of a real run, as a user writes them."""

import json
import os
from pathlib import Path

import pytest

from tests import warm

SETTINGS = (
    "train.epochs=2",
    "train.global_batch=48",
    "train.group=24",
    "evaluate.batch=60",
    "augment.size=32",
    "evaluate.size=32",
    "runtime.device=cpu",
    "runtime.threads=1",
    "runtime.precision=fp32",
    "runtime.verdict=false",
    "runtime.log_every=5",
)
SCRIPT = """
import json, os, signal, sys
import headrace

shards, out, what = sys.argv[1:]
told = []


class Mine(headrace.Callback):
    def on_start(self, start):
        assert (start.folder / "environment.json").exists()
        told.append(["start", start.step, start.steps, start.epochs, start.recipe_name, len(start.classes)])

    def on_step_logged(self, logged):
        told.append(["steps", logged.step, len(logged.losses), logged.reading.seconds > 0])
        if what == "stop" and logged.step >= 5:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_epoch(self, report):
        if what == "fail":
            raise ZeroDivisionError("mine")
        told.append(["epoch", report.step, report.validation.seen])

    def on_saved(self, saved):
        assert saved.path.exists()
        told.append(["saved", saved.step, saved.best])

    def on_end(self, end):
        told.append(["end", end.reason, end.step, end.epochs, end.error])


def fit(**more):
    headrace.fit(shards, out=out, settings=json.loads(os.environ["SETTINGS"]), callbacks=[Mine()], **more)


try:
    fit(recipe="demo")
except ZeroDivisionError as error:
    told.append(["raised", str(error)])
except Exception as error:
    told.append(["stopped", str(error)])
    what = ""
    fit(resume="last")
print("TOLD", json.dumps(told))
"""


def told(shards: Path, folder: Path, what: str, *more: str) -> list[list[object]]:
    """What the callback of the script was told in a run, with more settings."""
    script = folder / "mine.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "SETTINGS": json.dumps([*SETTINGS, *more])}
    job = warm.Job(str(script), [str(shards), str(folder / "run"), what], environment)
    (ended,) = warm.run([job], timeout=200)
    assert ended.code == 0, ended.errors
    (line,) = (line for line in ended.output.splitlines() if line.startswith("TOLD "))
    return list(json.loads(line.removeprefix("TOLD ")))


def test_all_moments_of_a_run_are_told(tiny_set: Path, tmp_path: Path) -> None:
    """Start, steps, a save and an epoch for each of two, and the end."""
    moments = told(tiny_set, tmp_path, "")
    assert moments[0] == ["start", 0, 20, 2, "demo", 12]
    assert [moment for moment in moments if moment[0] == "steps"] == [
        ["steps", step, 5, True] for step in (5, 10, 15, 20)
    ]
    assert [moment[:2] for moment in moments if moment[0] in ("saved", "epoch")] == [
        ["saved", 10],
        ["epoch", 10],
        ["saved", 20],
        ["epoch", 20],
    ]
    assert next(moment[2] for moment in moments if moment[0] == "saved") is True
    assert moments[-1] == ["end", "finished", 20, 2, ""]


def test_stop_and_resume_are_two_parts(tiny_set: Path, tmp_path: Path) -> None:
    """A signal ends a part of the run after a save; the next begins where it was."""
    moments = told(tiny_set, tmp_path, "stop")
    ends = [moment for moment in moments if moment[0] in ("start", "end", "stopped")]
    assert ends[0] == ["start", 0, 20, 2, "demo", 12]
    kind, reason, step, epochs, error = ends[1]
    assert (kind, reason, epochs, error) == ("end", "stopped", 0, "")
    assert ends[2] == ["stopped", "stopped by SIGTERM"]
    assert ends[3] == ["start", step, 20, 2, None, 12]
    assert ends[4] == ["end", "finished", 20, 2, ""]


@pytest.mark.parametrize("settings", [(), ("runtime.async_save_mb=1000000",)], ids=["beside the steps", "waited for"])
def test_exception_of_a_callback_ends_the_run(tiny_set: Path, tmp_path: Path, settings: tuple[str, ...]) -> None:
    """It reaches the caller as it is, after the end was told, and after the epoch's checkpoint.

    Where checkpoints are written beside the steps, the run may be some steps further by then.
    """
    *_, (*ended, step, epochs, by), raised = told(tiny_set, tmp_path, "fail", *settings)
    assert (ended, by, raised) == (["end", "failed"], "mine", ["raised", "mine"])
    assert isinstance(step, int)
    assert (step, epochs) == (10, 1) if settings else 10 <= step <= 20
    assert (tmp_path / "run" / "last.pt").exists()
