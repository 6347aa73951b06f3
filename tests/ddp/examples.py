"""Runs a script of examples/ as it is, in one process or many, and reads what its training loader handed out."""

import json
from pathlib import Path

from tests import warm
from tests.checkout import ROOT
from tests.ddp.processes import free_port, rank_environment

BATCH, STEPS, VALIDATION = 48, 10, 120  # samples of a step, steps of an epoch, and images of the tiny set
OPTIONS = (f"--batch={BATCH}", "--group=4", "--size=32", "--lr=0.01")

Row = list[int | str]
"""Step, place in the global batch, id, hash of the image and its target."""


def run_example(script: Path | str, shards: Path, out: Path, ranks: int, *options: str) -> str:
    """Run it in so many ranks (1: without any variable of a launcher) and give what rank 0 prints.

    `script`: a path, or a name in examples/. What is handed out is written to OUT/seen.
    """
    given = [str(out / "seen"), str(ROOT / "examples" / script), str(shards), *OPTIONS, *options]
    port = free_port()
    environments = [rank_environment(rank, ranks, port) for rank in range(ranks)]
    for environment in environments:
        environment.update({"OMP_NUM_THREADS": "1", "TORCHELASTIC_RUN_ID": "none"})
    if ranks == 1:
        launcher = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RUN_ID"}
        environments[0] = {name: value for name, value in environments[0].items() if name not in launcher}
    recorder = str(ROOT / "tests/ddp/recorded.py")
    ended = warm.run([warm.Job(recorder, given, environment) for environment in environments], 250)
    for number, rank in enumerate(ended):
        assert rank.code == 0, f"rank {number} of {ranks} ended with {rank.code}:\n{rank.output}{rank.errors}"
    return ended[0].output


def seen(out: Path, until: int | None = None) -> list[Row]:
    """Rows of all ranks in order, of steps before `until`."""
    rows = sorted(json.loads(line) for path in (out / "seen").glob("*.jsonl") for line in path.open())
    return [row for row in rows if until is None or row[0] < until]
