"""examples/with_lightning.py: it sees the batches of the plain loop, also when stopped and resumed on more ranks."""

import json
import re
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.ddp.examples import BATCH, Row, run_example, seen

SCRIPT = ROOT / "examples/with_lightning.py"
LOADS = 'self.train_loader.load_state_dict(checkpoint["loader"])'


def fit(script: Path, shards: Path, out: Path, ranks: int, *options: str, **trainer: object) -> list[tuple[str, int]]:
    """Run the example; what was validated when, and on how many images."""
    given = (f"--out={out / 'run'}", "--save-every=2", f"--trainer={json.dumps({'max_epochs': 2, **trainer})}")
    output = run_example(script, shards, out, ranks, *given, *options)
    found = re.findall(r"(sanity check|step \d+): \d+ of (\d+) correct", output)
    return [(when, int(count)) for when, count in found]


def changed(folder: Path, *replacements: tuple[str, str]) -> Path:
    """A copy of the example with other text here and there."""
    text = SCRIPT.read_text("utf-8")
    for old, new in replacements:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    script = folder / "changed.py"
    script.write_text(text, "utf-8")
    return script


def test_resume_on_more_ranks(example_set: Path, tmp_path: Path, plain: list[Row]) -> None:
    """Stopped at 4 and at 8 of the first epoch: 1, then 2, then 3 ranks have the same ids, pixels and targets."""
    fit(SCRIPT, example_set, tmp_path, 1, "--stop=4")
    fit(SCRIPT, example_set, tmp_path, 2, "--stop=8", "--resume")
    validated = fit(SCRIPT, example_set, tmp_path, 3, "--resume")
    assert [row for row in validated if row[0] != "sanity check"] == [("step 10", 120), ("step 20", 120)]
    assert seen(tmp_path) == plain


@pytest.mark.parametrize("asked", [True, False])
def test_state_is_lost_where_a_schedule_asks_for_the_steps(
    example_set: Path, tmp_path: Path, plain: list[Row], *, asked: bool
) -> None:
    """Lightning loads the state of a loader that it is given as it is, but not if the schedule asked (#20550)."""
    told = ("int(self.trainer.estimated_stepping_batches)", "20")
    script = changed(tmp_path, (LOADS, "pass"), ("Endless(train)", "train"), *[told][asked:])
    fit(script, example_set, tmp_path, 1, "--stop=4")
    fit(script, example_set, tmp_path, 1, "--stop=8", "--resume")
    expected = [row for row in plain if int(row[0]) < (4 if asked else 8)]
    assert seen(tmp_path) == sorted(expected + (expected if asked else []))


def test_limits_lose_no_batch(example_set: Path, tmp_path: Path, plain: list[Row]) -> None:
    """Short epochs with validation in their middle, and a resume in the second: each batch comes where it is due."""
    limits = {"limit_train_batches": 7, "val_check_interval": 3, "limit_val_batches": 2}
    validated = fit(SCRIPT, example_set, tmp_path, 1, "--stop=8", **limits)
    # Of 120 images in batches of 48 two have 96.
    assert validated[:3] == [("sanity check", 96), ("step 3", 96), ("step 6", 96)]
    validated = fit(SCRIPT, example_set, tmp_path, 2, "--resume", **limits)
    assert [row for row in validated if row[0] != "sanity check"] == [("step 10", 96), ("step 13", 96)]
    assert seen(tmp_path) == plain[: 14 * BATCH]
