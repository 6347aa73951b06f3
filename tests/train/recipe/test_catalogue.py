"""The list, the comparison and the page of the shipped recipes."""

import re

import pytest

from headrace.train.recipe.catalogue import differences, listing
from headrace.train.recipe.recipe import load_recipe, shipped_recipes
from tests.checkout import ROOT


def test_listing_says_what_each_is_for_and_what_was_measured() -> None:
    """The list gives every recipe's purpose and its measured result, or says that there is none."""
    text = listing()
    for name in shipped_recipes():
        recipe = load_recipe(name)
        assert recipe.about.purpose
        assert f"{name}: {recipe.model.name}" in text
        assert recipe.about.purpose in text
        assert recipe.about.measured in text


def test_listing_says_which_numbers_the_set_decides() -> None:
    """The list shows the numbers of a recipe, and names the numbers that the shard set determines."""
    text = listing().splitlines()
    assert "b0-224: efficientnet-b0, pretrained weights, 224 px, 5 epochs, batch 256" in text
    chosen = "size, epochs, batch chosen to suit the training images"
    assert f"finetune: efficientnet-lite0, pretrained weights, {chosen}" in text
    assert "train.epochs: auto in finetune, 5 in b0-224" in differences("finetune", "b0-224").splitlines()


@pytest.mark.parametrize("name", shipped_recipes())
def test_page_has_each_recipe_with_what_was_measured(name: str) -> None:
    """The table of docs/recipes.md agrees with the recipes, and the result files that it names exist."""
    about = load_recipe(name).about
    assert f"| `{name}` | {about.purpose} | {about.measured} |" in (ROOT / "docs/recipes.md").read_text(
        encoding="utf-8"
    )
    for path in re.findall(r"benchmarks/results/[\w.-]+\w", about.measured):
        assert (ROOT / path).exists()


def test_differences_are_values_and_nothing_else() -> None:
    """A comparison lists the values that differ, but not the descriptions."""
    text = differences("log-2023", "b0-224")
    assert "optim.lr: 0.001 in log-2023, 0.05 in b0-224" in text.splitlines()
    assert "purpose" not in text
    assert differences("demo", "demo") == "demo and demo are the same"
