"""What a run writes about itself has "~" for the home folder, since pages and mirrors leave the machine."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.shards.home import folder_of
from headrace.train.recipe.recipe import load_recipe
from headrace.train.record.about import About
from headrace.train.record.folder import RunLog
from tests.train.record.moments import end, start


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_rows_of_metrics(home: Path) -> None:
    """Warnings and the error that ended a run name files."""
    log = RunLog(home)
    log.say_warning(f"{home}/run: the disk is slow")
    log.ended(end("failed", f"{home / 'run/metrics.jsonl'}: the disk is full"))
    rows = [json.loads(line) for line in (home / "metrics.jsonl").read_text().splitlines()]
    assert rows[0]["text"] == "~/run: the disk is slow"
    assert rows[1]["error"] == "~/run/metrics.jsonl: the disk is full"


def test_name_of_the_recipe_and_settings(home: Path) -> None:
    """A recipe may be a file, and a setting a path."""
    begun = replace(start(home), recipe_name=f"{home}/own.toml", settings=(f"runtime.stage_dir={home}/stage",))
    About.of(begun, About()).write(home)
    found = About.read(home)
    assert (found.recipe, found.settings) == ("~/own.toml", ("runtime.stage_dir=~/stage",))


def test_folders_in_a_recipe(home: Path) -> None:
    """Checkpoints and loggers get the whole recipe; the folder is found again."""
    runtime = load_recipe("demo", [f"runtime.cache_dir={home}/cache", f"runtime.stage_dir={home}/stage"]).runtime
    assert (runtime.cache_dir, runtime.stage_dir) == ("~/cache", "~/stage")
    assert folder_of(runtime.cache_dir) == home / "cache"
