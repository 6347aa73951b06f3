"""Builds the evaluator of a split of a shard set, with a separate input pipeline."""

from headrace.shards.manifest import VALIDATION
from headrace.shards.shardset import ShardSet
from headrace.train.evaluate.evaluator import Evaluator
from headrace.train.input.assembly import Input
from headrace.train.input.decode.cached import Decoded
from headrace.train.input.normalise import Normalise
from headrace.train.input.plans import ValidationPlans
from headrace.train.machine.numerics import Numerics
from headrace.train.machine.place import Place
from headrace.train.recipe.settled import SettledEvaluate


def build_evaluator(
    shards: ShardSet,
    settings: SettledEvaluate,
    decode: str,
    normalise: Normalise,
    place: Place,
    numerics: Numerics,
    decoded: Decoded | None = None,
    name: str = VALIDATION,
    interpolation: str = "bilinear",
) -> Evaluator:
    """Build the evaluator of the split `name`; `decode` and `interpolation` have the same values as in a recipe.

    Raises UsageError if the shard set has no split of this name.
    """
    split = shards.split(name)
    if split.staged is not None:
        split.staged.keep_staged()
    plans = ValidationPlans(split, settings.batch, settings.crop, settings.size)
    images = Input(split, settings.batch, place, decode=decode, decoded=decoded, interpolation=interpolation)
    # A CPU does not choose kernels by shape, so padding would only cost time
    one_shape = place.accelerator.either(cpu=False, gpu=True)
    return Evaluator(
        plans,
        images.feed,
        normalise,
        place.accelerator,
        place.world,
        numerics,
        flip=settings.flip,
        one_shape=one_shape,
    )
