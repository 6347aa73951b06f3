"""The network of a checkpoint, the recipe that it is evaluated by, and its number formats; without the input."""

from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.machine.device import Accelerator
from headrace.train.machine.numerics import Numerics
from headrace.train.model.build import build_model
from headrace.train.model.network import Network
from headrace.train.model.states import load_network
from headrace.train.recipe.settled import Settled


def build_network(saved: Checkpoint) -> Network:
    """The network of a checkpoint with its weights, averaged ones if there are. DataError where they are damaged."""
    recipe = saved.recipe
    built = build_model(recipe.model.name, len(saved.classes), init="random", weights=None, seed=recipe.train.seed)
    with saved.explaining():
        load_network(built.network, saved.average or saved.model, "average" if saved.average else "model")
    return built.network


def own_recipe(saved: Checkpoint, settings: tuple[str, ...]) -> Settled:
    """The recipe of a checkpoint with the size and crop of its evaluation, changed by `settings`."""
    its_own = (f"evaluate.size={saved.size}", f"evaluate.crop={saved.crop!r}")
    name = "of the checkpoint"
    return saved.recipe.completing(saved.recipe.with_settings(name, (*its_own, *settings)), name)


def own_numerics(saved: Checkpoint, recipe: Settled, accelerator: Accelerator) -> Numerics:
    """The formats that it was trained in, unless the recipe names others."""
    wanted = recipe.runtime.precision
    return Numerics(saved.precision if wanted == "auto" else wanted, accelerator.device.type)
