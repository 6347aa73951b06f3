"""Makes the output of `headrace recipes`: shipped recipes, differences of two recipes, JSON schema for text editors."""

import json

from headrace.shards.counts import counted
from headrace.train.recipe.recipe import Recipe, load_recipe, shipped_recipes
from headrace.train.recipe.settled import automatic_keys, value_of


def listing() -> str:
    """Return a paragraph about each shipped recipe: its network, its purpose and its measured result."""
    return "\n".join(_paragraph(name) for name in shipped_recipes())


def _paragraph(name: str) -> str:
    recipe = load_recipe(name)
    return (
        f"{name}: {recipe.model.name}, {recipe.model.init} weights, {_numbers(recipe)}\n"
        f"    {recipe.about.purpose}\n    Measured: {recipe.about.measured}."
    )


def _numbers(recipe: Recipe) -> str:
    """Return the image size, the epochs and the batch of a recipe as text.

    A value that is "auto" depends on the training images; the text then has only the value's name, at the end.
    """
    train, automatic = recipe.train, [key for key in automatic_keys(recipe) if value_of(recipe, key) == "auto"]
    sides = " then ".join(str(side) for _, side in recipe.augment.stages)
    batch = f"{train.batch_per_process} per process" if train.batch_per_process else str(train.global_batch)
    texts = {
        "augment.size": "its own size" if recipe.augment.size == "model" else f"{sides} px",
        "train.epochs": "" if train.epochs == "auto" else counted(train.epochs, "epoch"),
        "train.global_batch": f"batch {batch}",
    }
    known = [text for key, text in texts.items() if key not in automatic]
    chosen = [key.partition(".")[2].replace("global_", "") for key in texts if key in automatic]
    return ", ".join([*known, *([f"{', '.join(chosen)} chosen to suit the training images"] if chosen else [])])


def differences(one: str, other: str) -> str:
    """Return one line for each key whose values differ in the two recipes."""
    first, second = load_recipe(one).model_dump(mode="json"), load_recipe(other).model_dump(mode="json")
    lines = []
    for section, values in first.items():
        if section == "about":
            continue
        for key, value in values.items():
            if value != second[section][key]:
                lines.append(f"{section}.{key}: {value} in {one}, {second[section][key]} in {other}")
    return "\n".join(lines) or f"{one} and {other} are the same"


def schema() -> str:
    """Return a JSON schema (draft 2020-12) of recipe files, with sections, keys, bounds and defaults."""
    own = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Headrace recipe"}
    return json.dumps({**Recipe.model_json_schema(), **own}, indent=2)
