"""Stores the output of the doctor for jobs on real data.

    python -m benchmarks.doctor.outputs SHARDS [--recipes lite0-cpu b0-scratch] [--options ...]

The doctor examines each job once, from the command line, with its files in memory as far as they fit.
"""

import json

from benchmarks.doctor.jobs import Shown
from benchmarks.harness.benchmark import Benchmark, path

BENCHMARK = Benchmark(__file__, __doc__, "doctor-outputs", "The output of the doctor")


def main() -> None:
    """Examine each job, and write the doctor's output."""
    BENCHMARK.add("shards", type=path, help="a shard set")
    BENCHMARK.add("--recipes", nargs="+", default=["lite0-cpu", "b0-scratch"], help="recipes of the jobs")
    BENCHMARK.add("--options", nargs="*", default=[], help="options of the doctor, without their dashes: try scale=1,2")
    asked = BENCHMARK.parse(data="the training split of SHARDS")
    options = [f"--{option}" for option in asked.options]
    pages, answers = list[str](), {}
    for recipe in asked.recipes:
        job = Shown(asked.shards, recipe, ("runtime.device=cpu",))
        printed = job.said(*options).replace(str(asked.shards), "SHARDS")
        pages += [f"## {recipe}", "", "```", printed.rstrip(), "```", ""]
        answers[recipe] = json.loads(job.said("--json", *options).replace(str(asked.shards), "SHARDS"))
    BENCHMARK.write({}, "\n".join([BENCHMARK.method, "", *pages]), answers=answers)


if __name__ == "__main__":
    main()
