"""Measures the seconds of the first three evaluations, with and without planning the shapes of the network before.

Without planning, the first evaluation includes the choice of a kernel for each shape. The cost of this choice is its
difference from the third evaluation.
"""

import time

from benchmarks.gpu.lines import LEFT_OUT
from benchmarks.gpu.setting import Rows, Setting
from headrace.train.evaluate.validation import build_evaluator

_SECONDS = 60  # for three evaluations


def run(setting: Setting) -> Rows:
    """A row for each evaluation. Those without planning come first, because a process keeps chosen kernels."""
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
