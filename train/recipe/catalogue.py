"""`headrace recipes`: what ships, what a recipe says in full, and where two differ."""

from headrace.train.recipe.recipe import load_recipe, shipped_recipes


def listing() -> str:
    """A paragraph for each shipped recipe: what it trains, what for, and what was measured."""
    return "\n".join(_paragraph(name) for name in shipped_recipes())


def _paragraph(name: str) -> str:
    recipe = load_recipe(name)
    sizes = " then ".join(str(size) for _, size in recipe.augment.stages)
    train = recipe.train
    batch = f"{train.batch_per_process} a process" if train.batch_per_process else str(train.global_batch)
    return (
        f"{name}: {recipe.model.name}, {recipe.model.init} weights, {sizes} px, {train.epochs} epochs, batch {batch}\n"
        f"    {recipe.about.purpose}\n    Measured: {recipe.about.measured}."
    )


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
