from dataclasses import replace
from pathlib import Path

import pytest

from headrace.shards.shardset import ShardSet
from headrace.train.record.aside import Aside
from headrace.train.record.folder import RunLog
from headrace.train.record.ledger import Ledger
from headrace.train.record.page import pictures, renewal
from headrace.train.record.page.render import NAME
from headrace.train.record.page.renewal import PageRenewal
from headrace.train.record.predictions import NAME as PREDICTIONS
from tests.train.record.moments import end, report, start
from tests.train.record.page.test_pictures import guesses


def text(folder: Path) -> str:
    """Return the text of the page."""
    return (folder / NAME).read_text("utf-8")


@pytest.fixture
def page(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PageRenewal:
    """Return the page of a run that has begun; it may take any share of the time."""
    monkeypatch.setattr(renewal, "_SHARE", 1.0)
    Ledger(RunLog(tmp_path)).on_start(start(tmp_path))
    made = PageRenewal(ShardSet.open(tiny_set))
    made.on_start(start(tmp_path))
    return made


def test_page_grows_with_the_run(page: PageRenewal, tiny_set: Path, tmp_path: Path) -> None:
    """The page exists from the start, shows each epoch, and the mistakes of the best evaluation."""
    assert "No step has been logged yet" in text(tmp_path)
    log, shards = RunLog(tmp_path), ShardSet.open(tiny_set)
    for epoch in (1, 2):
        log.epoch(report(epoch, 10 * epoch))
        if epoch == 2:
            guesses(shards).write(tmp_path / PREDICTIONS)
        page.on_epoch(report(epoch))
        assert f"{10 * epoch}.00 %" in text(tmp_path)
        assert ("Most confident mistakes" in text(tmp_path)) == (epoch == 2)
    assert pictures.read(tmp_path, pictures.MISTAKES)[0] == {"checkpoint": "c" * 64}
    better = guesses(shards)
    replace(better, origin=replace(better.origin, checkpoint="d" * 64)).write(tmp_path / PREDICTIONS)
    log.ended(end())
    page.on_end(end())
    assert pictures.read(tmp_path, pictures.MISTAKES)[0] == {"checkpoint": "d" * 64}
    assert "; finished." in text(tmp_path)


def test_short_epochs_do_not_wait_for_pages(page: PageRenewal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that would take too large a share of the time is skipped; the last one is always written."""
    monkeypatch.setattr(renewal, "_SHARE", 1e-9)
    log = RunLog(tmp_path)
    page.on_epoch(report(1))
    written = (tmp_path / NAME).stat().st_mtime_ns
    log.epoch(report(2, 77))
    page.on_epoch(report(2))
    assert (tmp_path / NAME).stat().st_mtime_ns == written
    page.on_end(end())
    assert "77.00 %" in text(tmp_path)


def test_failure_of_the_page_is_one_warning(tiny_set: Path, tmp_path: Path) -> None:
    """A failure of the page is one warning and does not affect the run."""
    warnings: list[str] = []
    folder = tmp_path / "run"
    folder.mkdir()
    Ledger(RunLog(folder)).on_start(start(folder))
    told = Aside(PageRenewal(ShardSet.open(tiny_set)), NAME, warnings.append)
    (folder / NAME).mkdir()
    told.on_start(start(folder))
    told.on_epoch(report(1))
    told.on_end(end())
    (warning,) = warnings
    assert warning.startswith("report.html: ")
