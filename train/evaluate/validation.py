"""An evaluator of a split of a shard set, with a pipeline of its own."""

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
) -> Evaluator:
    """The evaluator of the split of this name; `decode` as in a recipe. Raises UsageError if the set has none."""
    split = shards.split(name)
    plans = ValidationPlans(split, settings.batch, settings.crop, settings.size)
    images = Input(split, settings.batch, place, decode=decode, decoded=decoded)
    one_shape = place.accelerator.either(cpu=False, gpu=True)  # a CPU chooses no kernels, and would only compute more
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
