"""Carries out `headrace predict` on this rank: prepares the process, then predicts the classes of images."""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from headrace.shards.encoded import Images
from headrace.shards.errors import UsageError
from headrace.train.checkpoint.resume import Found
from headrace.train.evaluate.predict import Predictor
from headrace.train.evaluate.trained import own_numerics, own_recipe
from headrace.train.input.kernels.kept import LOOPS
from headrace.train.machine.abort import one_of_many
from headrace.train.machine.device import Accelerator
from headrace.train.machine.world import World
from headrace.train.record.answers import Answer
from headrace.train.run.evaluation import tell_aside
from headrace.train.run.preflight import chosen_checkpoint, hand_over
from headrace.train.run.process import entered, round_products


class Prediction(NamedTuple):
    """A request to predict: the checkpoint, changes to its recipe, and the number of labels for each image."""

    checkpoint: Path
    settings: tuple[str, ...] = ()
    top: int = 5


def check_first(asked: Prediction, processes: int) -> dict[str, str]:
    """Check the request before `processes` ranks start on this machine; return environment variables for them.

    The variables tell the ranks which checkpoint was chosen.
    """
    saved = chosen_checkpoint(asked.checkpoint)
    Accelerator.look().choose(own_recipe(saved, asked.settings).runtime.device, processes)
    return hand_over(Found(saved))


def predict(asked: Prediction, images: Images, tell: Callable[[Answer], None]) -> None:
    """Predict the classes of all images, a share of them on each rank; rank 0 passes each answer to `tell`, in order.

    Raises UsageError if the checkpoint or the device does not exist, DataError if the checkpoint is damaged.
    """
    with one_of_many():
        saved = chosen_checkpoint(asked.checkpoint)
        recipe = own_recipe(saved, asked.settings)
        with entered(recipe.runtime) as place:
            _refuse_unequal(saved.sha256, images, place.world)
            if place.world.is_main:
                LOOPS.tell = tell_aside
            numerics = own_numerics(saved, recipe, place.accelerator)
            round_products(numerics, place.accelerator)
            predictor = Predictor.of(
                saved, place, numerics, recipe.evaluate, saved.decode_on(place.accelerator, recipe.runtime.decode)
            )
            share = _share(len(images), recipe.evaluate.batch, place.world)
            answers = predictor.predict(images.read(share, saved.prepared), asked.top)
            for answer in _together(answers, len(images), recipe.evaluate.batch, place.world):
                tell(answer)


def _refuse_unequal(sha256: str, images: Images, world: World) -> None:
    """Raise UsageError if this rank sees another checkpoint or other images than rank 0."""
    mine = [sha256, len(images)]
    if world.from_main(mine) != mine:
        raise UsageError(
            f"rank {world.rank}: the checkpoint or the images differ from rank 0's. "
            "Give all hosts the same files, and do not change them during the run"
        )


def _share(count: int, batch: int, world: World) -> Iterator[int]:
    """Yield the indices of this rank's images: of every `world.size` consecutive batches, each rank takes one."""
    for first in range(world.rank * batch, count, world.size * batch):
        yield from range(first, min(first + batch, count))


def _together(answers: Iterator[Answer], count: int, batch: int, world: World) -> Iterator[Answer]:
    """Yield on rank 0 the answers of all ranks, in the order of the images; on other ranks yield nothing.

    In each exchange, every rank sends rank 0 the answers for one of its batches.
    """
    if world.size == 1:
        yield from answers
        return
    for _ in range(0, count, world.size * batch):
        mine = json.dumps(list(islice(answers, batch))).encode()
        for part in world.to_main(mine):
            for file, *columns, error in json.loads(part):
                labels, classes, names, probabilities = map(tuple, columns)
                yield Answer(file, labels, classes, names, probabilities, error)
