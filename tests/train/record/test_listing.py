import json
from pathlib import Path

import pytest

from headrace.shards.errors import UsageError
from headrace.train.record.folder import RunLog
from headrace.train.record.listing import as_object, as_table, find_runs
from tests.train.record.page.runs import drawn_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three runs at different depths, one of them without an epoch, and other folders."""
    folder = tmp_path_factory.mktemp("runs")
    drawn_run(folder / "poor", epochs=1)
    drawn_run(folder / "by date" / "good", epochs=40)
    drawn_run(folder / "middle", epochs=20)
    (folder / "empty").mkdir()
    begun = folder / "begun"
    begun.mkdir()
    RunLog(begun).began(0, 1.0, 1.0)
    return folder


def test_best_comes_first(runs: Path) -> None:
    """Runs are sorted by validation accuracy; one without an epoch is last, other folders are omitted."""
    found = find_runs(runs)
    assert [Path(one.run).name for one in found] == ["good", "middle", "poor", "begun"]
    good, begun = found[0], found[-1]
    assert (good.accuracy, good.epoch, good.epochs_done, good.epochs) == (40.0, 40, 40, 40)
    assert (good.seconds, good.state, good.model, good.recipe) == (480.0, "finished", "efficientnet-b0", "demo")
    assert (begun.accuracy, begun.epochs_done, begun.state) == (None, 0, "running")


def test_table_and_object_say_the_same(runs: Path) -> None:
    """The table has a line for each run below its header, and the object has a list."""
    found = find_runs(runs)
    heads, *lines = as_table(found).splitlines()
    assert heads.split() == ["accuracy", "epoch", "epochs", "images/s", "time", "state", "model", "recipe", "run"]
    assert lines[0].split()[:6] == ["40.00%", "40", "40/40", "100.0", "0:08:00", "finished"]
    assert lines[-1].split()[:3] == ["-", "-", "0/?"]
    record = json.loads(as_object(found))
    assert [one["accuracy"] for one in record["runs"]] == [40.0, 35.0, 30.0, None]


def test_run_folder_itself_is_listed(runs: Path) -> None:
    """A given run folder is listed itself."""
    (found,) = find_runs(runs / "poor")
    assert found.accuracy == 30.0


def test_model_of_an_older_run_is_that_of_its_recipe(runs: Path) -> None:
    """Older runs have no run.json, so the model comes from the recipe."""
    folder = drawn_run(runs.parent / "older" / "run")
    (folder / "run.json").unlink()
    (found,) = find_runs(folder)
    assert (found.model, found.epochs, found.recipe) == ("efficientnet-b0", 3, "")


def test_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A missing folder is an error, not an empty list."""
    with pytest.raises(UsageError, match="no such folder"):
        find_runs(tmp_path / "nowhere")
    assert as_table(find_runs(tmp_path)) == "no runs found"
