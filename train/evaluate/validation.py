"""An evaluator of a shard set's validation split, with a pipeline of its own."""

from headrace.shards.manifest import VALIDATION
from headrace.shards.shardset import ShardSet
from headrace.train.evaluate.evaluator import Evaluator
from headrace.train.input.assembly import Input
from headrace.train.input.decode.cached import Decoded
from headrace.train.input.normalise import Normalise
from headrace.train.input.plans import ValidationPlans
from headrace.train.machine.numerics import Numerics
from headrace.train.machine.place import Place
from headrace.train.recipe.sections import Evaluate, Runtime


def build_evaluator(
    shards: ShardSet,
    settings: Evaluate,
    runtime: Runtime,
    normalise: Normalise,
    place: Place,
    numerics: Numerics,
    decoded: Decoded | None = None,
) -> Evaluator:
    """The evaluator of a shard set's validation split."""
    split = shards.split(VALIDATION)
    plans = ValidationPlans(split, settings.batch, settings.crop, settings.size)
    images = Input(split, settings.batch, place, decode=runtime.decode, decoded=decoded)
    return Evaluator(plans, images.feed, normalise, place.accelerator, place.world, numerics, flip=settings.flip)
