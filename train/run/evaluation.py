"""Carries out `headrace eval` on this rank: prepares the process, then evaluates the checkpoint."""

from pathlib import Path
from typing import NamedTuple

from headrace.shards.errors import UsageError
from headrace.shards.manifest import VALIDATION
from headrace.shards.mapped import MAPPED
from headrace.shards.streams import say
from headrace.shards.urls import Location
from headrace.train.checkpoint.resume import Found
from headrace.train.evaluate.evaluator import Evaluator
from headrace.train.evaluate.measure import Measured, Measurement
from headrace.train.evaluate.trained import own_numerics
from headrace.train.evaluate.validation import build_evaluator
from headrace.train.input.kernels.kept import LOOPS
from headrace.train.input.normalise import Normalise
from headrace.train.machine.abort import one_of_many
from headrace.train.machine.device import Accelerator
from headrace.train.machine.numerics import Numerics
from headrace.train.machine.place import Place
from headrace.train.machine.world import World
from headrace.train.run.preflight import chosen_checkpoint, hand_over
from headrace.train.run.process import entered, round_products


class Evaluation(NamedTuple):
    """A request to evaluate a checkpoint on a split of a shard set.

    `settings` are changes to the checkpoint's recipe.
    """

    checkpoint: Path
    shards: Location
    settings: tuple[str, ...] = ()
    split: str = VALIDATION


def check_first(asked: Evaluation, processes: int) -> dict[str, str]:
    """Check the request before `processes` ranks start on this machine; return environment variables for them.

    The variables tell the ranks which checkpoint was chosen. Raises the same errors as `evaluate`.
    """
    measurement = _measurement(asked)
    measurement.shards.split(asked.split).close()
    Accelerator.look().choose(measurement.recipe.runtime.device, processes)
    return hand_over(Found(measurement.checkpoint))


def evaluate(asked: Evaluation) -> Measured:
    """Evaluate a checkpoint on a split: each rank evaluates a share of the batches, and rank 0 gets all predictions.

    Raises the errors of `Measurement.of`, and UsageError if the split or the device does not exist.
    """
    with one_of_many():
        measurement = _measurement(asked)
        with entered(measurement.recipe.runtime) as place:
            _refuse_unequal(measurement, place.world)
            if place.world.is_main:
                LOOPS.tell = tell_aside
            numerics = own_numerics(measurement.checkpoint, measurement.recipe, place.accelerator)
            round_products(numerics, place.accelerator)
            measured = measurement.take(evaluator_of(measurement, place, numerics), place, numerics)
            if place.world.is_main:
                for trouble in filter(None, (LOOPS.trouble, MAPPED.trouble)):
                    say(f"headrace: warning: {trouble}", error=True)
            return measured


def tell_aside(line: str) -> None:
    """Print a line to standard error, because standard output is only for the result."""
    say(f"headrace: {line}", error=True)


def _measurement(asked: Evaluation) -> Measurement:
    return Measurement.of(chosen_checkpoint(asked.checkpoint), asked.shards, asked.settings, asked.split)


def _refuse_unequal(measurement: Measurement, world: World) -> None:
    """Raise UsageError if this rank, perhaps on another host, sees another checkpoint or shard set than rank 0."""
    mine = [measurement.checkpoint.sha256, measurement.shards.digest]
    if world.from_main(mine) != mine:
        raise UsageError(
            f"rank {world.rank}: the checkpoint or shard set differs from rank 0's. Give all hosts the same files"
        )


def evaluator_of(measurement: Measurement, place: Place, numerics: Numerics) -> Evaluator:
    """Build the evaluator of the requested split."""
    recipe, saved = measurement.recipe, measurement.checkpoint
    decode = saved.decode_on(place.accelerator, recipe.runtime.decode)
    normalise = Normalise(*saved.normalisation, place.accelerator, numerics.master_dtype)
    return build_evaluator(
        measurement.shards,
        recipe.evaluate,
        decode,
        normalise,
        place,
        numerics,
        name=measurement.split,
        interpolation=recipe.augment.interpolation,
    )
