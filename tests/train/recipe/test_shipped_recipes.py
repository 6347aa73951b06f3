"""Every shipped recipe trains with the real command, on a few images, with its own values except the size."""

import csv
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.prep.images.admit import encode
from headrace.prep.images.drawing import draw
from headrace.train.checkpoint import files
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.model.build import build_model
from headrace.train.recipe.recipe import Recipe, load_recipe, shipped_recipes
from headrace.train.recipe.settled import automatic_keys
from headrace.train.run.request import Request
from headrace.train.run.training import train
from tests.prep.contents import as_folder

SYNSETS = ("n01443537", "n01629819")
"""Two of TinyImageNet's classes, so that a head that begins as published finds rows to take."""
TRAIN, VAL = 6, 2  # images a class


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a shard set of sixteen drawn images in two of ImageNet's classes."""
    folder = tmp_path_factory.mktemp("few")
    pictures = {
        f"{split}/{synset}/{number}.jpg": encode(image)
        for label, synset in enumerate(SYNSETS)
        for split, count, seed in (("train", TRAIN, 0), ("val", VAL, 1))
        for number, image in enumerate(draw(label, np.arange(count), seed))
    }
    source = as_folder(pictures, folder / "source")
    prep(source, folder / "set", Options(), workers=1, if_exists="error", say=print)
    return folder / "set"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> "Published":
    """Return files of random weights with ImageNet's 1,000 classes."""
    return Published(tmp_path_factory.mktemp("weights"))


class Published:
    """Makes stand-ins for published weights, which are not reachable everywhere: one file per model."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.of = cache(self._make)

    def _make(self, model: str) -> Path:
        path = self._folder / f"{model}.pth"
        torch.save(build_model(model, 1000, init="random", weights=None, seed=0).network.state_dict(), path)
        return path


def smallest(recipe: Recipe) -> tuple[str, ...]:
    """Return settings that make a run of this recipe short and keep all its choices except the size."""
    stages = [[share, 32 * (1 + number % 2)] for number, (share, _) in enumerate(recipe.augment.sizes)]
    settings = {
        "train.epochs": int(recipe.optim.warmup_epochs) + 1,
        "evaluate.batch": VAL,
        "evaluate.size": 32,
        "runtime.device": "cpu",
        "runtime.precision": "fp32",
        "runtime.threads": 1,
        "runtime.verdict": "false",
    }
    settings |= {"augment.sizes": stages} if stages else {"augment.size": 32}
    if recipe.train.batch_per_process is None:
        settings |= {"train.global_batch": TRAIN, "train.group": TRAIN // 2}
    else:
        settings |= {"train.batch_per_process": TRAIN}
    return tuple(f"{key}={value}" for key, value in settings.items())


OURS = [name for name in shipped_recipes() if not load_recipe(name).model.name.startswith("timm/")]
"""Those that need no extra; the others are trained in tests/extras/timm."""


@pytest.mark.parametrize("name", OURS)
def test_recipe_trains(
    name: str, few: Path, published: Published, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run starts from the weights of the recipe, makes steps, evaluates and saves, and its losses are finite."""
    recipe = load_recipe(name)
    pretrained = recipe.model.init == "pretrained"
    weights = published.of(recipe.model.name) if pretrained else None
    train(Request(few, name, smallest(recipe), weights, tmp_path / "run"))
    with (tmp_path / "run" / "epochs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == int(recipe.optim.warmup_epochs) + 1
    assert all(np.isfinite(float(row["train_loss"])) for row in rows)
    assert (tmp_path / "run" / "last.pt").exists()
    if recipe.model.head == "matched":
        assert "head of 2 classes, 2 of them with published weights" in capsys.readouterr().out


def test_run_keeps_the_numbers_that_were_chosen(few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The default recipe's chosen numbers are printed and saved, and the run can be resumed by the recipe's name."""
    of_the_machine = ("runtime.device=cpu", "runtime.threads=1", "runtime.precision=fp32", "runtime.verdict=false")
    settings = ("train.epochs=1", "augment.size=32", *of_the_machine)
    request = Request(few, None, settings, out=tmp_path / "run")
    train(request)
    chosen = "train.global_batch = 8, train.group = 8, evaluate.size = 64"
    assert f"auto     {chosen}: for {2 * TRAIN} training images of 2 classes" in capsys.readouterr().out
    written = load_recipe(str(tmp_path / "run" / "recipe.toml"))
    assert automatic_keys(written) == []
    assert Checkpoint.of(files.load(tmp_path / "run" / "last.pt")).recipe.model_dump() == written.model_dump()
    train(replace(request, recipe="finetune", resume="last"))
    assert "finished" in capsys.readouterr().out
