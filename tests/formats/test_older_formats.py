"""What commit c122ade wrote, in shard set 1 and checkpoint 1, is opened, verified, trained on, resumed, evaluated."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.shards.manifest import FORMAT, NAME, load
from headrace.shards.shardset import ShardSet
from headrace.train.checkpoint import files, formats
from tests.checkout import ROOT, SEARCH
from tests.faults.runs import here, losses
from tests.faults.worker import narrow
from tests.formats.thin import THIN

WRITTEN = ROOT / "tests" / "formats" / "c122ade"
EXPECTED: dict[str, Any] = json.loads((WRITTEN / "expected.json").read_text("utf-8"))
LONG = pytest.mark.faults
ALIKE = 1e-4
"""How far losses may be apart: other processors, and later versions, add floats in another order."""
RECIPE = ("--recipe", WRITTEN / "run-1" / "recipe.toml")


@pytest.fixture(autouse=True)
def thin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in this process build the network of those runs."""
    narrow(monkeypatch, THIN)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A copy of all that was written."""
    return Path(shutil.copytree(WRITTEN, tmp_path / "written", symlinks=True))


def done(*given: object, processes: int = 1) -> str:
    """The output of the command, which must end with 0; in this process unless it is for several."""
    words = [str(one) for one in given]
    if processes == 1:
        result = here(*words)
        assert result.exit_code == 0, result.output
        return result.output
    command = [sys.executable, str(ROOT / "tests/formats/thin.py"), *words, "--nproc", str(processes)]
    env = os.environ | {"PYTHONPATH": SEARCH}
    process = subprocess.run(command, env=env, capture_output=True, text=True, timeout=250, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout


def assert_as_undisturbed(run: Path, name: str) -> None:
    """The run ended with the losses and the evaluations that commit c122ade had without an interruption."""
    assert losses(run) == pytest.approx(EXPECTED[name]["losses"], rel=ALIKE)
    rows = [[float(value) for value in row.split(",")[:6]] for row in (run / "epochs.csv").read_text().splitlines()[1:]]
    assert rows == [pytest.approx([float(value) for value in row.split(",")]) for row in EXPECTED[name]["epochs"]]


@pytest.mark.parametrize("name", ["set", "adopted"])
def test_set_keeps_its_digest(name: str) -> None:
    """A set of format 1 opens under the digest that it was written with, and all its images have their bytes."""
    found = ShardSet.open(WRITTEN / name)
    assert (found.manifest.format, found.digest) == (1, EXPECTED[name]["digest"])
    for split in map(found.split, found.split_names):
        assert len(split.jpegs(np.arange(len(split)))) == len(split) > 0
        split.close()


@pytest.mark.parametrize("name", ["set", "adopted"])
@pytest.mark.parametrize("deep", [(), ("--deep",)])
def test_set_is_sound(name: str, deep: tuple[str, ...]) -> None:
    """`headrace verify`, also with every image decoded, finds nothing wrong."""
    done("verify", WRITTEN / name, *deep)


def test_same_content_has_the_same_digest_now(written: Path, tmp_path: Path) -> None:
    """Prep makes of the same source the same tars, indexes and digest, with a manifest of the newest format."""
    done("prep", written / "source.zip", tmp_path / "now", "--samples-per-shard", 24, "--workers", 1)
    before, now = load(written / "set"), load(tmp_path / "now")
    assert (now.format, now.digest) == (FORMAT, before.digest)
    for path in (written / "set").glob("*-*"):
        assert (tmp_path / "now" / path.name).read_bytes() == path.read_bytes()


def test_set_is_reused_by_prep(written: Path) -> None:
    """A second prep of the same source takes the set of format 1 for what was asked for, and writes no manifest."""
    content = (written / "set" / NAME).read_bytes()
    done("prep", written / "source.zip", written / "set", "--samples-per-shard", 24)
    assert (written / "set" / NAME).read_bytes() == content


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--quality", "90"), 2)])
def test_option_that_came_later_had_its_default(written: Path, options: tuple[str, ...], code: int) -> None:
    """A set that does not name an option of today is reused with the default of that option, and with no other."""
    manifest = json.loads((written / "set" / NAME).read_bytes())
    del manifest["options"]["quality"]
    (written / "set" / NAME).write_text(json.dumps(manifest))
    words = ("prep", written / "source.zip", written / "set", "--samples-per-shard", 24, *options)
    assert here(*map(str, words)).exit_code == code


@pytest.mark.parametrize("name", ["set", "adopted"])
def test_indexes_are_made_again(written: Path, name: str) -> None:
    """`headrace index` gives the set a manifest of the newest format; its digest and its samples stay."""
    columns = [ShardSet.open(WRITTEN / name).split("train").fingerprint]
    done("index", written / name)
    now = ShardSet.open(written / name)
    assert (now.manifest.format, now.digest) == (FORMAT, EXPECTED[name]["digest"])
    assert [now.split("train").fingerprint] == columns


@pytest.mark.parametrize(
    ("name", "processes"),
    [("run-1", 1), ("run-2", 1), pytest.param("run-1", 2, marks=LONG), pytest.param("run-2", 2, marks=LONG)],
)
def test_run_is_resumed(written: Path, name: str, processes: int) -> None:
    """A run that broke off ends as it would have then, on as many processes or others, and saves in the new format."""
    run = written / name
    assert len(losses(run)) == EXPECTED[name]["stopped_after"] < len(EXPECTED[name]["losses"])
    done("train", written / "set", "--out", run, "--resume", processes=processes)
    assert_as_undisturbed(run, name)
    state = files.load(run / "last.pt").state
    assert state["format"] == formats.FORMAT
    assert (state["mean"], state["std"]) == ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
    assert state["class_names"] == list(ShardSet.open(WRITTEN / "set").class_names)


@pytest.mark.parametrize("name", ["run-1", "run-2"])
def test_checkpoint_is_evaluated(name: str) -> None:
    """`headrace eval` says of a checkpoint of format 1 what it said then."""
    printed = done("eval", WRITTEN / name / "last.pt", WRITTEN / "set")
    assert printed.splitlines()[0] == EXPECTED[name]["eval"].strip()


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=LONG)])
def test_set_is_trained_on(tmp_path: Path, processes: int) -> None:
    """A new run on the set has the losses that it had then; what it leaves is evaluated."""
    done("train", WRITTEN / "set", "--out", tmp_path / "run", *RECIPE, processes=processes)
    assert_as_undisturbed(tmp_path / "run", "run-1")
    assert "weights after step 6" in done("eval", tmp_path / "run" / "last.pt", WRITTEN / "set")


def test_adopted_set_is_trained_on(tmp_path: Path) -> None:
    """A run on the adopted set takes the samples that could be used, and is evaluated."""
    done("train", WRITTEN / "adopted", "--out", tmp_path / "run", *RECIPE)
    assert len(losses(tmp_path / "run")) == 3
    assert "6 images" in done("eval", tmp_path / "run" / "last.pt", WRITTEN / "adopted")
