"""Explains a loss that is not finite: lists the samples of the step, to help the user find the cause."""

import csv
import io

from headrace.shards import store
from headrace.shards.errors import HeadraceError
from headrace.shards.manifest import TRAIN
from headrace.train.machine.lost_rank import FailedElsewhereError
from headrace.train.machine.world import World
from headrace.train.run.resolve import Setup
from headrace.train.step.tally import NotFiniteError

_SHOWN = 3  # samples that the message names


def explanation(error: NotFiniteError, setup: Setup, world: World) -> HeadraceError:
    """Return the error that ends the run; rank 0 also writes a CSV file of the step's samples to the run folder."""
    if not world.is_main:
        what = f"rank {world.rank}: {error}; rank 0 writes the samples of that step to {setup.out}"
        return FailedElsewhereError(what)
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
        f"{error}, for samples {first} and {len(rows) - len(rows[:_SHOWN])} more, all listed in {path}. No "
        f"checkpoint was saved after that step: {setup.out}/last.pt is intact. Resume from last.pt with --resume and "
        "--override recipe, and change one setting: lower optim.lr, raise optim.warmup_epochs, or set "
        "runtime.precision=fp32"
    )
