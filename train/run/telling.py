"""Tells the callbacks of a run when it begins, and how it ended."""

from collections.abc import Iterator
from contextlib import contextmanager

from headrace.shards.manifest import TRAIN, VALIDATION
from headrace.train.checkpoint.progress import Progress
from headrace.train.machine.signals import StoppedError
from headrace.train.record.callback import Callback
from headrace.train.record.moments import End, Reason, Start
from headrace.train.run.resolve import Setup


def start_of(setup: Setup) -> Start:
    """Return the description of a run that callbacks get before the first step."""
    resumed, train, shards = setup.resumed, setup.recipe.train, setup.shards
    samples = {split.name: split.samples for split in shards.manifest.splits}
    return Start(
        folder=setup.out,
        recipe=setup.recipe.model_dump(mode="json"),
        recipe_name=setup.request.recipe if resumed else setup.request.recipe_name,
        settings=setup.request.settings,
        step=resumed.progress.step if resumed else 0,
        steps=setup.steps.ends(train.epochs - 1),
        epochs=train.epochs,
        shard_set=shards.digest,
        train_samples=samples[TRAIN],
        validation_samples=samples[VALIDATION],
        classes=tuple(shards.class_ids),
        class_names=tuple(shards.class_names),
    )


@contextmanager
def telling(told: Callback, start: Start, progress: Progress) -> Iterator[Callback]:
    """Tell callbacks of the start of the run, and at the end of this context how the run ended.

    `progress` is the object that the training loop updates. If a callback raises an error at the start, all callbacks
    are still told of the end.
    """

    def over(reason: Reason, error: str = "") -> None:
        told.on_end(
            End(reason, progress.step, progress.epochs_done, progress.best_accuracy, progress.best_epoch, error)
        )

    try:
        told.on_start(start)
        yield told
    except StoppedError:
        over("stopped")
        raise
    except BaseException as error:
        over("failed", " ".join(str(error).split()) or type(error).__name__)
        raise
    over("finished")
