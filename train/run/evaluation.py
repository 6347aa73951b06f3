"""`headrace eval` on this rank, from its process to the result."""

from pathlib import Path

from headrace.shards.streams import say
from headrace.train.evaluate.evaluator import Evaluator
from headrace.train.evaluate.measure import Measured, Measurement
from headrace.train.evaluate.validation import build_evaluator
from headrace.train.input.kernels.kept import LOOPS
from headrace.train.input.normalise import Normalise
from headrace.train.machine.numerics import Numerics
from headrace.train.machine.place import Place
from headrace.train.run.process import entered, round_products


def evaluate(path: Path, shards: Path, settings: tuple[str, ...]) -> Measured:
    """Measure the checkpoint at `path` on the validation split of the set at `shards`; ranks share its batches.

    Raises what `Measurement` raises, and UsageError when the device that is asked for is not there.
    """
    measurement = Measurement.of(path, shards, settings)
    with entered(measurement.recipe.runtime) as place:
        numerics = measurement.numerics(place.accelerator)
        round_products(numerics, place.accelerator)
        measured = measurement.take(evaluator_of(measurement, place, numerics), place, numerics)
        if LOOPS.trouble and place.world.is_main:
            say(f"headrace: warning: {LOOPS.trouble}", error=True)
        return measured


def evaluator_of(measurement: Measurement, place: Place, numerics: Numerics) -> Evaluator:
    """The evaluator of the set that is measured on."""
    recipe = measurement.recipe
    normalise = Normalise(*measurement.checkpoint.normalisation, place.accelerator, numerics.master_dtype)
    return build_evaluator(measurement.shards, recipe.evaluate, recipe.runtime, normalise, place, numerics)
