"""One rank of the input and the evaluation of a run: what arrives where, without training.

    feed_worker.py SHARDS OUT FIRST_STEP STEPS [SECTION.KEY=VALUE ...]

Writes OUT/RANK.npz: for the decoded steps `step`, `group`, `ids` and `pixels` (a hash of each image), for the plans
of the first epoch `epoch_step` and `epoch_ids`, and, from step 0, the `counted` and `correct`
images of an evaluation.
"""

import hashlib
import os
import sys
from pathlib import Path

import numpy as np

from headrace.train.evaluate.validation import build_evaluator
from headrace.train.input.assembly import Input
from headrace.train.machine.place import Place
from headrace.train.run.assemble import build_numerics, build_plans, build_step
from headrace.train.run.process import entered
from headrace.train.run.request import Request
from headrace.train.run.resolve import Setup, resolve
from tests.train.networks import built_narrow


def decoded(setup: Setup, place: Place, first: int, count: int) -> dict[str, np.ndarray]:
    """What the feed of this rank delivers for `count` steps from `first`."""
    rows: list[tuple[int, int, int, str]] = []
    plans = build_plans(setup)
    mine = setup.steps.groups_of(place.world.size, place.world.rank)
    made = Input(plans.split, setup.recipe.train.group, place)
    with made.feed(plans.stream(first, first + count, mine)) as feed:
        for batch in feed:
            for sample, image in zip(batch.plan.ids, batch.images.numpy(), strict=True):
                digest = hashlib.md5(image.tobytes(), usedforsecurity=False).hexdigest()
                rows.append((batch.plan.step, batch.plan.group, int(sample), digest))
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return dict(zip(("step", "group", "ids", "pixels"), columns, strict=True))


def main() -> None:
    """Write what this rank saw."""
    shards, out, first, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    size, rank = int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"])
    setup = resolve(Request(shards, "demo", tuple(sys.argv[5:])), size)
    with entered(setup.recipe.runtime) as place:
        built = built_narrow(len(setup.shards.class_ids))
        step = build_step(setup, place, build_numerics(setup, place, built), built)
        seen = decoded(setup, place, first, count)
        mine = setup.steps.groups_of(size, rank)
        plans = list(build_plans(setup).stream(0, setup.steps.ends(0), mine))
        seen["epoch_step"] = np.concatenate([np.full(len(plan.ids), plan.step) for plan in plans])
        seen["epoch_ids"] = np.concatenate([plan.ids for plan in plans])
        if first == 0:
            recipe = setup.recipe
            evaluate = build_evaluator(
                setup.shards, recipe.evaluate, recipe.runtime.decode, step.normalise, place, step.numerics
            )
            sums = evaluate(step.network)
            seen |= {"counted": np.array(sums.seen), "correct": np.array(sums.correct)}
        np.savez(out / f"{rank}.npz", allow_pickle=False, **seen)


if __name__ == "__main__":
    main()
