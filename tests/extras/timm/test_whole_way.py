"""Five networks of timm through all commands: train on one and two processes, eval, predict, export, timm itself."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

from headrace.shards.shardset import ShardSet
from headrace.train.checkpoint import files
from headrace.train.checkpoint.fields import Checkpoint
from tests.extras.command import headrace
from tests.train.pictures import evaluated

NETWORKS = {
    "resnet18": 64,
    "test_convnext": 64,
    "test_vit": 160,
    "mobilenetv4_conv_small": 64,
    "tf_efficientnetv2_b0": 64,
}
"""With the side of their images."""
pytestmark = [pytest.mark.timeout(1800), pytest.mark.faults]  # minutes


@pytest.fixture(scope="module", params=NETWORKS)
def runs(request: pytest.FixtureRequest, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Run folders by the number of processes."""
    size = NETWORKS[request.param]
    settings = (
        *(f"model.name=timm/{request.param}", "model.dropout=0.1", "train.epochs=1", "train.global_batch=32"),
        *(f"augment.size={size}", f"evaluate.size={size}", "augment.interpolation=model", "evaluate.crop=model"),
        *("train.group=16", "model.batch_norm_momentum=0.3", "runtime.device=cpu", "runtime.precision=fp32"),
        *("runtime.verdict=false", "runtime.log_every=1", "runtime.threads=1"),
    )
    given = [word for setting in settings for word in ("--set", setting)]
    found, folder = {}, tmp_path_factory.mktemp(request.param)
    for count in (1, 2):
        headrace("train", pictures, "--recipe", "demo", "--out", folder / str(count), "--nproc", count, *given)
        found[count] = folder / str(count)
    return found


def losses(run: Path) -> list[float]:
    """Those of all steps."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [row["loss"] for row in rows if row["kind"] == "step"]


def test_two_processes_train_the_same(runs: dict[int, Path]) -> None:
    """In float32 losses of two processes stay beside those of one for an epoch."""
    assert len(losses(runs[1])) == 15
    assert losses(runs[2]) == pytest.approx(losses(runs[1]), abs=2e-3)


def test_eval_and_predict_agree(runs: dict[int, Path], pictures: Path, tmp_path: Path) -> None:
    """Eval has the run's accuracy, and predict the label that eval has, for every validation image."""
    with (runs[1] / "epochs.csv").open() as file:
        (epoch,) = csv.DictReader(file)
    measured = json.loads(headrace("eval", runs[1], pictures, "--device", "cpu", "--json"))
    assert 100 * measured["top1"] == pytest.approx(float(epoch["validation_accuracy"]), abs=1e-6)
    split = ShardSet.open(pictures)["val"]
    for row, key in enumerate(split.keys):
        (tmp_path / f"{key}.jpg").write_bytes(split[row].jpeg)
    said = headrace("predict", runs[1], tmp_path, "--device", "cpu", "--format", "json", "--top-k", 1)
    answers = {Path(row["file"]).stem: row["label"] for row in json.loads(said)}
    right = sum(answers[key] == label for key, label in zip(split.keys, split.labels.tolist(), strict=True))
    assert right == round(measured["top1"] * measured["samples"])


def test_export_opens_in_timm_with_equal_logits(runs: dict[int, Path], pictures: Path, tmp_path: Path) -> None:
    """Timm builds it from the folder, with our classes; the same pixels give the same logits; its transform is ours."""
    headrace("export", runs[1], tmp_path / "out", "--format", "timm")
    saved = Checkpoint.of(files.load(runs[1]))
    theirs: Any = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    config = timm.data.resolve_model_data_config(theirs)
    assert config["interpolation"] == saved.recipe.augment.interpolation == "bicubic"
    assert tuple(config["input_size"]) == (3, saved.size, saved.size)
    assert theirs.pretrained_cfg["label_names"] == list(saved.classes)
    plain = timm.create_model(re.sub(r"\..*", "", saved.recipe.model.name.removeprefix("timm/")), num_classes=12)
    plain.load_state_dict(saved.average or saved.model)
    split = ShardSet.open(pictures)["val"]
    pixels = torch.from_numpy(evaluated(split, size=saved.size, fraction=saved.crop)).permute(0, 3, 1, 2).float()
    images = pixels / 255
    mean, std = (torch.tensor(config[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        ours, found = (
            torch.cat([net((part - mean) / std) for part in images.split(40)]) for net in (plain.eval(), theirs)
        )
    np.testing.assert_array_equal(found.numpy(), ours.numpy())
