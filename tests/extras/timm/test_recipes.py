"""The shipped recipes for networks of timm train, from stand-ins for their published weights, on 1 epoch of images."""

from pathlib import Path

import pytest
import torch

from headrace.train.checkpoint import files
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.model.build import build_model
from headrace.train.recipe.recipe import load_recipe, shipped_recipes
from headrace.train.run.request import Request
from headrace.train.run.training import train

pytestmark = pytest.mark.faults  # minutes

NAMES = [name for name in shipped_recipes() if load_recipe(name).model.name.startswith("timm/")]
SMALL = (
    *("augment.size=32", "evaluate.size=32", "train.epochs=1", "train.global_batch=16", "train.group=8"),
    *("runtime.device=cpu", "runtime.precision=fp32", "runtime.verdict=false"),
)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", NAMES)
def test_recipe_trains(name: str, tiny_set: Path, tmp_path: Path) -> None:
    """Its own choices but for size and length; the checkpoint has numbers in the place of "model"."""
    recipe = load_recipe(name)
    weights = tmp_path / "weights.pth"
    network = build_model(recipe.model.name, 1000, init="random", weights=None, seed=1).network
    torch.save(network.state_dict(), weights)
    train(Request(tiny_set, name, SMALL, weights, tmp_path / "run"))
    saved = Checkpoint.of(files.load(tmp_path / "run" / "last.pt"))
    assert saved.recipe.augment.interpolation == "bicubic"
    assert 0.5 < saved.crop <= 1
    assert saved.progress.epochs_done == 1
