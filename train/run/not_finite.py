"""A loss that is not finite: what its step consisted of, for whoever looks for the cause."""

import csv
import io

from headrace.shards import store
from headrace.shards.errors import HeadraceError
from headrace.shards.manifest import TRAIN
from headrace.train.machine.world import FailedElsewhereError, World
from headrace.train.run.resolve import Setup
from headrace.train.step.tally import NotFiniteError

_SHOWN = 3  # samples that the message names


def explanation(error: NotFiniteError, setup: Setup, world: World) -> HeadraceError:
    """The error that ends the run. Rank 0 also writes the samples of the step to the run folder."""
    if not world.is_main:
        return FailedElsewhereError(f"rank {world.rank}: {error}; rank 0 has written its samples to {setup.out}")
    split, batch = setup.shards.split(TRAIN), setup.steps.global_batch
    epochs, ids = setup.order(split).positions(error.step * batch, (error.step + 1) * batch)
    rows = [
        (epoch, number, split.keys[number], split.sources[number])
        for epoch, number in zip(epochs.tolist(), ids.tolist(), strict=True)
    ]
    path = setup.out / f"not-finite-step-{error.step:08d}.csv"
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("epoch", "id", "key", "source"), *rows])
    store.write_bytes(path, text.getvalue().encode())
    first = ", ".join(f"{number} (key {key})" for _, number, key, _ in rows[:_SHOWN])
    return HeadraceError(
        f"{error}, of samples {first} and {len(rows) - len(rows[:_SHOWN])} more, all in {path}. Nothing was saved "
        f"since: {setup.out}/last.pt is sound. Go on from it by --resume with --override recipe and a lower optim.lr, "
        "a longer optim.warmup_epochs, or runtime.precision=fp32"
    )
