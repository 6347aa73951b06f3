"""Builds the network, the evaluation recipe and the number formats of a checkpoint, without the input pipeline."""

from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.machine.device import Accelerator
from headrace.train.machine.numerics import Numerics
from headrace.train.model.build import build_model
from headrace.train.model.network import Network
from headrace.train.model.preferences import preferred_by
from headrace.train.model.states import load_network
from headrace.train.recipe.automatic import refuse_other_sides
from headrace.train.recipe.settled import Settled


def build_network(saved: Checkpoint) -> Network:
    """Build the network of a checkpoint, with averaged weights if the checkpoint has any.

    Raises DataError if the weights are damaged.
    """
    recipe = saved.recipe
    built = build_model(recipe.model.name, len(saved.classes), init="random", weights=None, seed=recipe.train.seed)
    with saved.explaining():
        load_network(built.network, saved.average or saved.model, "average" if saved.average else "model")
    return built.network


def own_recipe(saved: Checkpoint, settings: tuple[str, ...]) -> Settled:
    """Return the recipe of a checkpoint with the size and crop of its evaluation, changed by `settings`.

    Raises UsageError for an image size that the network does not accept.
    """
    its_own = (f"evaluate.size={saved.size}", f"evaluate.crop={saved.crop!r}")
    name = "of the checkpoint"
    recipe = saved.recipe.completing(saved.recipe.with_settings(name, (*its_own, *settings)), name)
    refuse_other_sides(recipe, preferred_by(recipe.model.name))
    return recipe


def own_numerics(saved: Checkpoint, recipe: Settled, accelerator: Accelerator) -> Numerics:
    """Return the number formats that the checkpoint was trained in, unless the recipe names others."""
    wanted = recipe.runtime.precision
    return Numerics(saved.precision if wanted == "auto" else wanted, accelerator.device.type)
