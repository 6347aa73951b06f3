import json
import tomllib
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from headrace.train.recipe.catalogue import schema
from headrace.train.recipe.recipe import shipped_recipes
from tests.checkout import ROOT

CHECK = Draft202012Validator(json.loads(schema()))


def shipped(name: str) -> dict[str, Any]:
    """A shipped recipe as an editor sees its file."""
    return tomllib.loads((ROOT / f"train/recipe/shipped/{name}.toml").read_text("utf-8"))


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipe_fits_the_schema(name: str) -> None:
    """An editor marks nothing in a recipe that ships."""
    assert [f"{one.json_path}: {one.message}" for one in CHECK.iter_errors(shipped(name))] == []


@pytest.mark.parametrize(
    "wrong", [{"train": {"epoch": 3}}, {"train": {"epochs": "three"}}, {"trainn": {}}, {"optim": {"layer_decay": -1}}]
)
def test_wrong_recipe_is_marked(wrong: dict[str, Any]) -> None:
    """The schema sees a misspelt key, a wrong type, a misspelt section and a value out of bounds."""
    assert not CHECK.is_valid({**shipped("demo"), **wrong})
