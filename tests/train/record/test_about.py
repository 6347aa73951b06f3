import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.train.record.about import NAME, About
from headrace.train.record.folder import RunLog
from headrace.train.record.ledger import Ledger
from tests.train.record.moments import end, start, tell_all


def test_what_a_run_is_comes_back(tmp_path: Path) -> None:
    """The description that a run writes at its start is read from the folder."""
    Ledger(RunLog(tmp_path)).on_start(replace(start(tmp_path), settings=("train.epochs=2",)))
    found = About.read(tmp_path)
    assert (found.recipe, found.settings, found.model) == ("demo", ("train.epochs=2",), "efficientnet-b0")
    assert (found.classes, found.class_names) == (("n1", "n2"), ("cat", "dog"))
    assert (found.train_samples, found.validation_samples, found.epochs, found.steps) == (480, 120, 2, 20)


def test_resumed_run_keeps_the_name_of_its_recipe(tmp_path: Path) -> None:
    """A checkpoint has values, not the recipe's name; later changes are added."""
    Ledger(RunLog(tmp_path)).on_start(replace(start(tmp_path), settings=("optim.lr=1",)))
    resumed = replace(start(tmp_path, 10), recipe_name=None, settings=("train.epochs=3",))
    Ledger(RunLog(tmp_path)).on_start(resumed)
    assert (About.read(tmp_path).recipe, About.read(tmp_path).settings) == ("demo", ("optim.lr=1", "train.epochs=3"))
    Ledger(RunLog(tmp_path)).on_start(replace(resumed, recipe_name="b0-fast"))
    assert (About.read(tmp_path).recipe, About.read(tmp_path).settings) == ("b0-fast", ("train.epochs=3",))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "5", '{"recipe": 5, "classes": ["a", 5], "epochs": "3"}', "[" * 100_000]
)
def test_damaged_file_is_as_none(tmp_path: Path, text: str) -> None:
    """For any content of the file, readers get fields of the right types."""
    (tmp_path / NAME).write_text(text)
    assert About.read(tmp_path) == About()


def test_fields_that_are_not_known_are_left_out(tmp_path: Path) -> None:
    """Unknown fields of a newer version's file are ignored."""
    (tmp_path / NAME).write_text(json.dumps({"recipe": "demo", "colour": "blue"}))
    assert About.read(tmp_path) == About(recipe="demo")


def kinds(folder: Path) -> list[Any]:
    """Return the kinds of the rows in metrics.jsonl."""
    return [row["kind"] for row in RunLog(folder).rows()]


def test_end_is_a_row(tmp_path: Path) -> None:
    """metrics.jsonl has a row about the end of each part of a run."""
    tell_all(Ledger(RunLog(tmp_path)), tmp_path)
    Ledger(RunLog(tmp_path)).on_end(end("failed", "no space"))
    rows = RunLog(tmp_path).rows()
    assert [(row["kind"], row["reason"], row["error"]) for row in rows] == [
        ("end", "finished", ""),
        ("end", "failed", "no space"),
    ]


def test_warnings_are_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Warnings are rows of metrics.jsonl."""
    log = RunLog(tmp_path)
    log.say_warning("first")
    log.say("no warning")
    log.say("warning: second")
    assert [row["text"] for row in log.rows()] == ["first", "second"]
    assert capsys.readouterr().out == "warning: first\nno warning\nwarning: second\n"


def test_what_nothing_depends_on_ends_no_run(tmp_path: Path) -> None:
    """If a row about start, memory or end cannot be written, the run continues."""
    (tmp_path / "metrics.jsonl").mkdir()
    log = RunLog(tmp_path)
    log.began(0, 1.0, 0.5)
    log.memory(10, 1000, {})
    log.ended(end())
    log.say_warning("there")
