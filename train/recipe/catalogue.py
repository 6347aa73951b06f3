"""`headrace recipes`: what ships, what a recipe says in full, and where two differ."""

from headrace.train.recipe.recipe import Recipe, load_recipe, shipped_recipes
from headrace.train.recipe.settled import automatic_keys


def listing() -> str:
    """A paragraph for each shipped recipe: what it trains, what for, and what was measured."""
    return "\n".join(_paragraph(name) for name in shipped_recipes())


def _paragraph(name: str) -> str:
    recipe = load_recipe(name)
    return (
        f"{name}: {recipe.model.name}, {recipe.model.init} weights, {_numbers(recipe)}\n"
        f"    {recipe.about.purpose}\n    Measured: {recipe.about.measured}."
    )


def _numbers(recipe: Recipe) -> str:
    """Size, epochs and batch in words; last the names of those that the training split decides."""
    train, automatic = recipe.train, automatic_keys(recipe)
    batch = f"{train.batch_per_process} a process" if train.batch_per_process else str(train.global_batch)
    texts = {
        "augment.size": f"{' then '.join(str(side) for _, side in recipe.augment.stages)} px",
        "train.epochs": f"{train.epochs} epochs",
        "train.global_batch": f"batch {batch}",
    }
    known = [text for key, text in texts.items() if key not in automatic]
    chosen = [key.partition(".")[2].replace("global_", "") for key in texts if key in automatic]
    return ", ".join([*known, *([f"{', '.join(chosen)} by the training images"] if chosen else [])])


def differences(one: str, other: str) -> str:
    """A line for each value in which two recipes differ."""
    first, second = load_recipe(one).model_dump(mode="json"), load_recipe(other).model_dump(mode="json")
    lines = []
    for section, values in first.items():
        if section == "about":
            continue
        for key, value in values.items():
            if value != second[section][key]:
                lines.append(f"{section}.{key}: {value} in {one}, {second[section][key]} in {other}")
    return "\n".join(lines) or f"{one} and {other} are the same"
