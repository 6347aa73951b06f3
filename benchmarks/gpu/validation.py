"""Seconds of the first, second and third evaluation, before which the network's shapes were planned or were not.

The first of a run that plans nothing beforehand pays for the choice of a kernel for each shape; how much, is its
difference from the third.
"""

import time

from benchmarks.gpu.lines import LEFT_OUT
from benchmarks.gpu.setting import Rows, Setting
from headrace.train.evaluate.validation import build_evaluator

_SECONDS = 60  # of three evaluations


def run(setting: Setting) -> Rows:
    """A row an evaluation; kernels that one part of a process has chosen stay chosen, so the unplanned come first."""
    setup = setting.setup()
    place, step = setting.step(setup)
    for planned in (False, True):
        if not setting.has_time(_SECONDS):
            yield LEFT_OUT, {"planned": planned}
            continue
        size = setup.recipe.evaluate.model_copy(update={"size": setup.recipe.evaluate.size + 32 * planned})
        evaluate = build_evaluator(setup.shards, size, setup.decode, step.normalise, place, step.numerics)
        began = time.perf_counter()
        if planned:
            evaluate.warm_up(step.network)
            place.accelerator.synchronize()
        before = time.perf_counter() - began
        for number in range(1, 4):
            began = time.perf_counter()
            sums = evaluate(step.network)
            seconds = round(time.perf_counter() - began, 3)
            row = {"planned": planned, "size, px": size.size, "seconds before": round(before, 3)}
            yield "evaluations", {**row, "evaluation": number, "images": sums.seen, "seconds": seconds}
