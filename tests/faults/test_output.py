"""Runs whose standard output goes away: they go on to their end, and the run folder has all of their log."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import SEARCH
from tests.faults.runs import WORKER, arguments, assert_same_run

UNTIL_IT_TRAINS = '| while ! [ -s "$OUT/metrics.jsonl" ]; do sleep 0.02; done'


def in_shell(given: list[str], reader: str, out: Path) -> tuple[int, str]:
    """The command in bash with `reader` behind it, which knows OUT as $OUT; its own exit code and standard error."""
    command = ["bash", "-c", f'"$0" "$@" {reader}; exit ${{PIPESTATUS[0]}}', sys.executable, str(WORKER), *given]
    env = {**os.environ, "PYTHONPATH": SEARCH, "OUT": str(out)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200, check=False)
    return done.returncode, done.stderr


def assert_whole(out: Path, undisturbed: Path) -> None:
    """The run ended as the one that nothing disturbed, and every row of its log is there."""
    assert_same_run(out, undisturbed)
    kinds = [[json.loads(line)["kind"] for line in (run / "metrics.jsonl").open()] for run in (out, undisturbed)]
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize(
    "reader",
    [
        "| head -n 2",
        *(
            pytest.param(reader, marks=pytest.mark.faults)
            for reader in (
                "| true",
                UNTIL_IT_TRAINS,
                "> /dev/full",
                "2>&1 | head -n 2",
                "> /dev/full 2>&1",
                ">&-",
                ">&- 2>&-",
            )
        ),
    ],
)
def test_run_goes_on_without_output(tiny_set: Path, undisturbed: Path, tmp_path: Path, reader: str) -> None:
    """Whatever becomes of the output, the run saves and ends with 0 and the same bits; one line says why."""
    code, errors = in_shell(arguments(tiny_set, tmp_path / "run"), reader, tmp_path / "run")
    assert code == 0, errors
    assert_whole(tmp_path / "run", undisturbed)
    said = [] if "2>" in reader or reader == ">&-" else [f"Training continues; the log is in {tmp_path / 'run'}"]
    assert [line[-len(end) :] for line, end in zip(errors.splitlines(), said, strict=True)] == said


@pytest.mark.faults
def test_ranks_go_on_without_output(tiny_set: Path, tmp_path: Path) -> None:
    """The same under --nproc, where launcher and ranks share the output."""
    code, errors = in_shell(arguments(tiny_set, tmp_path / "run", "--nproc", "2"), "2>&1 | true", tmp_path / "run")
    assert code == 0, errors
    assert (tmp_path / "run" / "last.pt").exists()


@pytest.mark.faults
@pytest.mark.parametrize("reader", ["| true", "2>&1 | true", "> /dev/full", "> /dev/full 2>&1", ">&- 2>&-"])
def test_prep_goes_on_without_output(tmp_path: Path, reader: str) -> None:
    """A conversion ends with 0 and a whole shard set, as its manifest says, which is published last."""
    given = ["prep", "--demo", str(tmp_path / "set"), "--per-class", "20", "--workers", "2"]
    code, errors = in_shell(given, reader, tmp_path / "set")
    assert code == 0, errors
    assert (tmp_path / "set" / "shardset.json").exists()


@pytest.mark.parametrize("beside_mb", [0, 1e6], ids=["beside", "waited"])
def test_line_of_an_epoch_comes_after_its_checkpoint(
    tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside_mb: float
) -> None:
    """Whoever reads the line finds the epoch saved: a reader who stands still, or leaves, keeps no epoch from it."""
    from headrace.train.record.epoch import EpochReport
    from headrace.train.record.folder import RunLog
    from tests.faults.runs import here

    out, say_epoch, after = tmp_path / "run", RunLog.say_epoch, []

    def watched(self: RunLog, report: EpochReport) -> None:
        after.append([row["kind"] for row in self.rows() if row["kind"] in ("epoch", "save")])
        say_epoch(self, report)

    monkeypatch.setattr(RunLog, "say_epoch", watched)
    given = arguments(tiny_set, out, runtime__checkpoint_steps=None, runtime__async_save_mb=beside_mb)
    assert here(*given).exit_code == 0
    assert after == [["epoch", "save"]]
