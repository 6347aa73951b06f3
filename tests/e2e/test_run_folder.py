"""What a run folder says of itself, and what happens to a finished run that is resumed."""

import os
import runpy
import time
from pathlib import Path

import pytest
import torch

import headrace
from headrace.shards.shardset import ShardSet
from headrace.train.record.about import About
from headrace.train.record.folder import RunLog
from headrace.train.record.page import pictures
from tests import warm
from tests.checkout import ROOT
from tests.e2e.commands import SMALL
from tests.e2e.commands import headrace as command

TALKATIVE = "import sys; from headrace.train.run import training; training._MINUTES_OF_SILENCE = 0.0; "


@pytest.fixture(scope="module")
def finished(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run of two epochs that may speak at every step, and what it printed."""
    folder = tmp_path_factory.mktemp("folder")
    out, script = folder / "run", folder / "talkative.py"
    script.write_text(f"{TALKATIVE}from headrace.cli import main; main(sys.argv[1:])\n")
    arguments = ["train", str(tiny_set), "--out", str(out), *SMALL, "--set=train.epochs=2", "--set=runtime.log_every=5"]
    (ended,) = warm.run([warm.Job(str(script), arguments, dict(os.environ))], timeout=200)
    assert ended.code == 0, ended.errors
    return out, ended.output


def test_long_epochs_say_how_far_they_are(finished: tuple[Path, str]) -> None:
    """Where the last line is long ago, one says which step of which epoch this is, and at what rate."""
    parts = [line for line in finished[1].splitlines() if " step " in line and "Images/s" in line]
    assert parts
    first, last = parts[0], parts[-1]
    assert "[1/2] step 5 of " in first
    assert "[2/2] step " in last
    assert all(word in first for word in ("Train Loss: ", "Images/s: ", "Stall: "))


def test_folder_says_what_the_run_was(finished: tuple[Path, str], tiny_set: Path) -> None:
    """Recipe by name, classes, seconds of the start, memory, warnings, the end; and the pictures are there."""
    out, _ = finished
    about = About.read(out)
    assert (about.recipe, about.train_samples, about.steps) == ("demo", 480, 40)
    assert about.class_names == ShardSet.open(tiny_set).class_names
    assert "train.epochs=2" in about.settings
    rows = RunLog(out).rows()
    (start,) = (row for row in rows if row["kind"] == "start")
    assert 0 < start["first_batch"] <= start["seconds"]
    memory = [row["resident"] for row in rows if row["kind"] == "memory"]
    assert len(memory) == 2
    assert 50 << 20 < memory[0] <= memory[1]
    assert [row["reason"] for row in rows if row["kind"] == "end"] == ["finished"]
    assert any("only 40 updates" in row["text"] for row in rows if row["kind"] == "warning")
    seen, training = pictures.read(out, pictures.TRAINING)
    assert (seen, len(training)) == ({"step": 0}, 12)
    assert {one.lines[0] for one in training} <= set(about.class_names)


def test_finished_run_says_so_at_once(finished: tuple[Path, str], tiny_set: Path) -> None:
    """Resumed, it changes nothing, trains nothing and measures nothing."""
    out, printed = finished
    before = {path: path.read_bytes() for path in out.iterdir() if path.is_file()}
    best = next(line for line in printed.splitlines() if "best validation accuracy" in line).split(";")[0]
    began = time.perf_counter()
    resumed = command("train", tiny_set, "--out", out, "--resume", "auto")
    assert time.perf_counter() - began < 5
    assert resumed.code == 0, resumed.stderr
    assert resumed.stdout.startswith("this run is finished: ")
    assert "of epoch 2, with train.epochs = 2" in resumed.stdout
    assert "--override recipe" in resumed.stdout
    assert best in resumed.stdout
    assert len(resumed.stdout.splitlines()) == 1
    assert {path: path.read_bytes() for path in out.iterdir() if path.is_file()} == before


def test_what_the_finished_line_advises_trains_on(finished: tuple[Path, str], tiny_set: Path, tmp_path: Path) -> None:
    """With more epochs and --override recipe the run goes on from there."""
    more = ("--resume", finished[0], "--set", "train.epochs=3", "--override", "recipe")
    resumed = command("train", tiny_set, "--out", tmp_path / "more", *more)
    assert resumed.code == 0, resumed.stderr
    assert "[3/3] Train Loss" in resumed.stdout


def test_readme_loads_the_network_without_headrace(
    finished: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file has its line, and the lines in plain PyTorch give the network that Headrace loads."""
    out, _ = finished
    readme = (out / "README.md").read_text("utf-8")
    for path in out.iterdir():
        assert f"`{path.name}" in readme or path.name == "README.md", path
    code = readme.split("```python\n")[1].split("```")[0]
    assert "headrace" not in code
    monkeypatch.chdir(out)
    script = tmp_path / "script.py"
    script.write_text(code)
    names = runpy.run_path(str(script))
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    network, mean, std = names["model"], names["mean"], names["std"]
    assert isinstance(network, torch.nn.Module)
    assert isinstance(mean, torch.Tensor)
    assert isinstance(std, torch.Tensor)
    with torch.inference_mode():
        logits = network((pixels.permute(0, 3, 1, 2) - mean) / std)
        assert torch.allclose(logits, headrace.load_model(out)(pixels), atol=1e-4)
    assert tuple(names["names"]) == headrace.load_model(out).class_names


def test_readme_says_what_is_in_the_checkout() -> None:
    """The page of formats that it names is there."""
    assert (ROOT / "docs" / "formats.md").exists()
