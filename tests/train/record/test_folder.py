import csv
import json
import re
from datetime import datetime
from pathlib import Path

import pytest

from headrace.shards.errors import HeadraceError
from headrace.train.record.epoch import EpochReport, Reading
from headrace.train.record.folder import RunLog
from headrace.train.record.moments import Saved, StepLogged
from headrace.train.record.sums import NOTHING, Sums

LINE_OF_2023 = re.compile(
    r"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6})\]: \[(\d+)/(\d+)\] Train Loss: ([\d.]+), Train Acc: ([\d.]+)%, "
    r"Test Loss: ([\d.]+), Test Acc: ([\d.]+)%, Time: ([\d.]+)s"
)
"""What users' scripts parse."""


def report(epoch: int = 1, step: int = 10) -> EpochReport:
    """Return an epoch of 1,000 images in 20 seconds, a quarter of them spent waiting."""
    return EpochReport(
        epoch, 10, step, Sums(5055.72, 83, 1000), Sums(440.45, 32, 100), 23.2391, Reading(20.0, 5.0), 0.1
    )


def logged(step: int) -> StepLogged:
    """Return the last two steps."""
    return StepLogged(step, (0.5, 1.5), 0.1, Reading(10.0, 1.0))


def saved(step: int) -> Saved:
    """Return a checkpoint of 1,000 bytes."""
    return Saved(step, Path("checkpoints/a.pt"), "0" * 64, 1000, 0.5, best=False)


def rows(folder: Path) -> list[tuple[str, int]]:
    """Return kind and step of each row of metrics.jsonl that is not a warning."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [(row["kind"], row["step"]) for row in map(json.loads, lines) if row["kind"] != "warning"]


def epochs(folder: Path) -> list[dict[str, str]]:
    """Return the rows of epochs.csv."""
    with (folder / "epochs.csv").open() as file:
        return list(csv.DictReader(file))


def test_epoch_line_is_parsed_by_scripts_for_the_old_log() -> None:
    """The line begins exactly in the form of 2023, followed by the rate and the share of waiting."""
    line = report().line(datetime(2023, 4, 8, 22, 46, 37, 993506))  # noqa: DTZ001  the log's local time
    assert line == (
        "[2023-04-08 22:46:37.993506]: [1/10] Train Loss: 5.05572, Train Acc: 8.30%, Test Loss: 4.40450, "
        "Test Acc: 32.00%, Time: 23.239s, Images/s: 50.0, Stall: 25.00%"
    )
    found = LINE_OF_2023.match(line)
    assert found is not None
    assert found.groups()[1:] == ("1", "10", "5.05572", "8.30", "4.40450", "32.00", "23.239")


def test_epoch_is_in_all_three_places(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line is printed, and metrics.jsonl and epochs.csv have the same numbers in full."""
    log = RunLog(tmp_path)
    log.epoch(report())
    log.say_epoch(report())
    assert LINE_OF_2023.match(capsys.readouterr().out)
    row = json.loads((tmp_path / "metrics.jsonl").read_text())
    wanted = {"epoch": 1, "step": 10, "train_loss": 5.05572, "validation_accuracy": 32.0, "images_per_second": 50.0}
    assert {key: row[key] for key in wanted} == pytest.approx(wanted)
    (line,) = epochs(tmp_path)
    assert {key: float(value) for key, value in line.items()} == {key: row[key] for key in row if key != "kind"}


def test_csv_has_one_header(tmp_path: Path) -> None:
    """Epochs are appended below one header, also by a log that opens the file again."""
    for epoch in (1, 2, 3):
        RunLog(tmp_path).epoch(report(epoch, 10 * epoch))
    assert [line["epoch"] for line in epochs(tmp_path)] == ["1", "2", "3"]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Write two epochs of ten steps, with a row for every five steps and one for each checkpoint."""
    log = RunLog(tmp_path)
    for epoch in (1, 2):
        for step in (10 * epoch - 5, 10 * epoch):
            log.step(logged(step))
        log.epoch(report(epoch, 10 * epoch))
        log.saved(saved(10 * epoch))
    return tmp_path


def test_resume_removes_later_rows(written: Path) -> None:
    """A resume from the middle of the second epoch removes later rows from both files."""
    RunLog(written).keep_until(15, 1)
    assert rows(written) == [("step", 5), ("step", 10), ("epoch", 10), ("save", 10), ("step", 15)]
    assert [line["epoch"] for line in epochs(written)] == ["1"]


def test_epoch_that_was_logged_but_not_saved_is_removed(written: Path) -> None:
    """An epoch whose line was written before its checkpoint is evaluated again and has one row at the end."""
    RunLog(written).keep_until(20, 1)
    assert ("epoch", 20) not in rows(written)
    assert ("step", 20) in rows(written)
    assert [line["epoch"] for line in epochs(written)] == ["1"]


@pytest.mark.parametrize("cut", ['{"kind": "step", "st', "\x00\x00", '"text"\n', '{"loss": 1}\n', "[1, 2]\n"])
def test_line_cut_by_a_crash_is_removed(written: Path, cut: str) -> None:
    """A line that a crash truncated is no row, and is removed at a resume."""
    before = rows(written)
    with (written / "metrics.jsonl").open("a") as file:
        file.write(cut)
    log = RunLog(written)
    assert [(row["kind"], row["step"]) for row in log.rows()] == before
    log.keep_until(1000, 1000)
    assert rows(written) == before


DEEP, LONG = "[" * 100_000, "9" * 5000


@pytest.mark.parametrize(
    "damaged",
    [
        "{",
        "\x00\x00",
        DEEP,
        f'{{"kind": "step", "step": {LONG}}}',
        '{"kind": "step", "step": "5"}',
        '{"kind": "step", "step": true}',
        '{"kind": [], "step": 5}',
        '{"kind": "step", "step": 5, "loss": NaN}',
        '{"kind": "step", "step": 5, "losses": [1e999]}',
        '{"kind": "step", "step": 5, "epoch": null}',
        '{"kind": "epoch", "step": 10, "epoch": 1}',
        '{"kind": "epoch", "step": 10, "epoch": "1"}',
    ],
    ids=lambda line: ascii(line[:44]),
)
def test_damaged_row_is_left_out_and_counted(written: Path, capsys: pytest.CaptureFixture[str], damaged: str) -> None:
    """A run continues with any damage to its log, and says which file lost how many rows."""
    before = rows(written)
    path = written / "metrics.jsonl"
    path.write_text(damaged + "\n" + path.read_text())
    harmed = path.read_bytes()
    RunLog(written).keep_until(20, 2)
    assert rows(written) == before
    said = "removed 1 damaged row; the original file is kept as metrics.jsonl.old-1"
    assert capsys.readouterr().out == f"warning: {path}: {said}\n"
    assert (written / "metrics.jsonl.old-1").read_bytes() == harmed


def test_any_flipped_bit_costs_its_rows_alone(written: Path) -> None:
    """After any flipped bit in the log, the run keeps all rows except the changed ones, two at most.

    Every 59th bit is tried: each position in a byte, and each part of a row.
    """
    path = written / "metrics.jsonl"
    sound, before = path.read_bytes(), RunLog(written).rows()
    for place in range(0, 8 * len(sound), 59):
        harmed = bytearray(sound)
        harmed[place // 8] ^= 1 << place % 8
        path.write_bytes(harmed)
        RunLog(written).keep_until(20, 2)
        lost = [row for row in before if row not in RunLog(written).rows()]
        assert len(lost) <= 2, (place, lost)


@pytest.mark.parametrize("name", ["metrics.jsonl", "epochs.csv"])
def test_log_that_cannot_be_read_is_set_aside(written: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """A folder in place of a file does not stop a run; it is renamed, and a message says so."""
    (written / name).unlink()
    (written / name).mkdir()
    (written / name / "mine").write_text("kept")
    RunLog(written).keep_until(20, 2)
    assert f"renamed to {name}.old-1" in capsys.readouterr().out
    assert (written / f"{name}.old-1" / "mine").read_text() == "kept"
    assert (written / name).is_file()


def test_rows_that_end_too_early_are_said(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A truncated log is reported, although its lost rows cannot be counted; a new folder has none to lose."""
    path = written / "metrics.jsonl"
    RunLog(written).keep_until(25, 2)
    assert capsys.readouterr().out == f"warning: {path}: the rows end at step 20, but the run continues from step 25\n"
    path.unlink()
    RunLog(written).keep_until(25, 2)
    assert capsys.readouterr().out == ""


def test_last_line_that_a_crash_cut_needs_no_word(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A truncated last line, which any kill may leave, is not reported."""
    with (written / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "step", "st')
    RunLog(written).keep_until(20, 2)
    assert capsys.readouterr().out == ""


def test_new_run_begins_with_empty_files(tmp_path: Path) -> None:
    """A new run removes rows of another run, and keeps the header."""
    RunLog(tmp_path).epoch(report())
    RunLog(tmp_path).keep_until(0, 0)
    assert rows(tmp_path) == []
    assert epochs(tmp_path) == []
    assert (tmp_path / "epochs.csv").read_text().startswith("epoch,step,")


def test_rows_are_json_also_where_a_number_is_none(tmp_path: Path) -> None:
    """NaN is written as null, because JSON has no NaN and strict readers refuse it."""
    RunLog(tmp_path).epoch(EpochReport(1, 1, 10, Sums(1.0, 1, 1), NOTHING, 1.0, Reading(1.0, 0.0), 0.1))
    (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert "NaN" not in line
    (row,) = RunLog(tmp_path).rows()
    assert (row["step"], row["train_loss"], row["validation_loss"]) == (10, 1.0, None)


def test_last_epoch_is_found(written: Path, tmp_path: Path) -> None:
    """The last epoch's row is the newest of its kind, or empty if there is none."""
    assert RunLog(written).last_epoch()["epoch"] == 2
    (tmp_path / "empty").mkdir()
    assert RunLog(tmp_path / "empty").last_epoch() == {}


def test_other_ranks_are_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """On ranks other than 0, the log prints and stores nothing."""
    log = RunLog(None)
    log.say("text")
    log.epoch(report())
    log.say_epoch(report())
    log.step(logged(1))
    log.saved(saved(1))
    log.keep_until(0, 0)
    assert capsys.readouterr().out == ""
    assert (log.rows(), log.last_epoch()) == ([], {})


def test_failed_write_is_the_programs_error(tmp_path: Path) -> None:
    """If nothing can be appended, the error names the file."""
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(HeadraceError, match=r"metrics\.jsonl"):
        RunLog(tmp_path).step(logged(1))
