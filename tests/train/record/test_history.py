import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.train.record.folder import RunLog
from headrace.train.record.history import History, HistoryReader, number
from tests.train.record.moments import end, logged, report, saved


def filled(folder: Path) -> Path:
    """Return a run of two epochs with all kinds of rows."""
    log = RunLog(folder)
    log.began(0, 3.0, 1.0)
    for epoch, accuracy in ((1, 40), (2, 30)):
        log.step(logged(10 * epoch, 2.0))
        log.saved(saved(10 * epoch))
        log.epoch(report(epoch, accuracy))
        log.memory(10 * epoch, 1000, {})
        log.say_warning("the same twice")
    log.ended(end())
    return folder


def test_rows_are_sorted_by_kind(tmp_path: Path) -> None:
    """Rows are sorted by kind, and equal warnings are merged."""
    history = HistoryReader(filled(tmp_path)).read()
    assert [row["epoch"] for row in history.epochs] == [1, 2]
    assert history.steps == [(10, 2.0, 0.25), (20, 2.0, 0.25)]
    assert (len(history.saves), len(history.memory), len(history.starts)) == (2, 2, 1)
    assert (history.warnings, history.state) == (["the same twice"], "finished")
    assert history.best is not None
    assert history.best["epoch"] == 1


def test_reader_goes_on_where_it_was(tmp_path: Path) -> None:
    """A file read in pieces of any length, which may cut rows in two, gives the same history."""
    data = (filled(tmp_path) / "metrics.jsonl").read_bytes()
    whole, draw = HistoryReader(tmp_path).read(), random.Random(3)
    part = tmp_path / "part"
    part.mkdir()
    reader, place = HistoryReader(part), 0
    assert reader.read() == History()
    while place < len(data):
        place += draw.randrange(1, 200)
        (part / "metrics.jsonl").write_bytes(data[:place])
        found = reader.read()
    assert found == whole


def test_file_that_was_written_anew_is_read_anew(tmp_path: Path) -> None:
    """After a resume, which removes later rows, the file is read again from its start."""
    reader = HistoryReader(filled(tmp_path))
    assert len(reader.read().epochs) == 2
    RunLog(tmp_path).keep_until(10, 1)
    assert len(reader.read().epochs) == 1


@pytest.mark.parametrize(
    ("kinds", "state"), [("", ""), ("start", "running"), ("start end", "stopped"), ("start end start", "running")]
)
def test_state_is_that_of_the_last_part(tmp_path: Path, kinds: str, state: str) -> None:
    """A part without an end is running or was killed."""
    log = RunLog(tmp_path)
    for kind in kinds.split():
        log.began(0, 1.0, 1.0) if kind == "start" else log.ended(end("stopped", "by SIGTERM"))
    assert HistoryReader(tmp_path).read().state == state


KEYS = ("step", "epoch", "loss", "lr", "seconds")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["kind", "step", "epoch", "loss", "lr", "seconds"]), inner, max_size=6)
    ),
    max_leaves=10,
)
ROWS = st.fixed_dictionaries(
    {"kind": st.sampled_from(["epoch", "step", "save", "start", "end", "warning", "memory", "verdict"])},
    optional=dict.fromkeys((*KEYS, "validation_accuracy", "text", "reason", "line"), JSON),
)


@given(st.lists(ROWS | JSON, max_size=8))
def test_foreign_rows_do_no_harm(rows: list[Any]) -> None:
    """For any JSON in the file, the values taken from it are valid."""
    history = History()
    for row in rows:
        history.add(json.loads(json.dumps(row)))
    assert all(isinstance(row["epoch"], int) and isinstance(row["step"], int) for row in history.epochs)
    assert history.best is None or number(history.best, "validation_accuracy") is not None
    assert all(abs(loss) < 1e300 and abs(rate) < 1e300 for _, loss, rate in history.steps)
