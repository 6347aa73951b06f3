"""Measures two processes with a GPU each: ways to exchange gradients, and the time to the end after a rank is killed.

The step runs on a resident batch, over both ranks. A rank is killed while each step reads the losses, and during the
evaluation. The other rank then waits inside NCCL, and has to end within seconds.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.gpu.lines import LEFT_OUT
from benchmarks.gpu.setting import Rows, Setting, rate_columns
from benchmarks.harness.processes import child_module, last_answer
from benchmarks.harness.tables import Row
from headrace.train.machine import world as worlds
from headrace.train.machine.device import Accelerator
from headrace.train.run.process import entered

RANKS = 2
_SECONDS = 120  # for each of the two halves
_SOON = 20  # seconds within which the others should have ended
_WAYS = {"messages of 1, then 25 MiB": "", "of 4 MiB": "runtime.bucket_mib=4", "of 100 MiB": "runtime.bucket_mib=100"}
_ONE_BY_ONE = "gradients copied one by one"


def run(setting: Setting) -> Rows:
    """A row for each way to exchange, and one for each moment at which a rank is killed."""
    if not setting.dry and Accelerator.look().count < RANKS:
        yield "ranks", {"note": f"needs {RANKS} GPUs; this machine has {Accelerator.look().count}"}
        return
    if setting.has_time(_SECONDS):
        rank = child_module(__file__, "be_a_rank", setting.shards, setting.scratch, setting.dry)
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={RANKS}"]
        yield from (("exchange", row) for row in last_answer([*torchrun, *rank]))
    for moment in ("a step",) if setting.dry else ("a step", "the evaluation"):
        if setting.has_time(_SECONDS):
            yield "a rank is killed", {"in": moment, **_ended(setting, moment)}
        else:
            yield LEFT_OUT, {"a rank is killed in": moment}


def be_a_rank(shards: str, scratch: str, dry: bool) -> list[Row]:
    """Measure all ways on one of the ranks; return their rows."""
    setting, rows = Setting(Path(shards), Path(scratch), dry), []
    both = f"train.global_batch={RANKS * setting.batch}"
    with entered(setting.setup(both, processes=RANKS).recipe.runtime):
        for name, bucket in {**_WAYS, _ONE_BY_ONE: ""}.items():
            with _torchs_copies() if name == _ONE_BY_ONE else nullcontext():
                _, step = setting.step(setting.setup(both, *filter(None, [bucket]), processes=RANKS))
            resident = setting.resident(step, setting.batch, setting.size)
            step.warm_up(resident)
            step.world.any(False)
            rows.append({"way": name, **rate_columns(setting.on_resident(step, resident))})
    return rows


def _torchs_copies() -> AbstractContextManager[Any]:
    return mock.patch.object(worlds, "_if_known", return_value={})


def _ended(setting: Setting, moment: str) -> Row:
    """The seconds from the death of a rank to the end of the command, and how the command ended."""
    group = setting.batch
    shape = [f"train.global_batch={RANKS * group}", f"train.group={group}", "augment.size=64", "evaluate.size=64"]
    setup = setting.setup(*shape, "train.epochs=9", "evaluate.batch=4", "runtime.log_every=1", processes=RANKS)
    last = setup.steps.ends(0) if moment == "the evaluation" else 3
    command = [sys.executable, "-m", "headrace", "train", str(setting.shards), f"--recipe={setup.request.recipe}"]
    command += [f"--nproc={RANKS}", f"--out={setup.out}", *(f"--set={one}" for one in setup.request.settings)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + _SECONDS
        while _steps_done(setup.out) < last:
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                return {"note": f"no such moment came: {process.communicate()[1][-200:]}"}
            time.sleep(0.05)
        os.kill(_rank_of(process.pid, RANKS - 1), signal.SIGKILL)
        began = time.monotonic()
        said = process.communicate(timeout=_SECONDS)[1]
        seconds = time.monotonic() - began
    return {
        "seconds to the end": round(seconds, 1),
        "exit code": process.returncode,
        "says": (said.strip().splitlines() or [""])[0][:120],
        "within": seconds < _SOON and process.returncode == 1,
    }


def _steps_done(out: Path) -> int:
    """The last step whose loss the run has written."""
    path = out / "metrics.jsonl"
    rows = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    whole = [json.loads(row) for row in rows if row.endswith("\n")]
    return max((row["step"] for row in whole if row.get("kind") == "step"), default=0)


def _rank_of(launcher: int, rank: int) -> int:
    """The process id of a rank that this launcher started."""
    for listing in Path(f"/proc/{launcher}/task").glob("*/children"):
        for number in listing.read_text(encoding="ascii").split():
            if f"RANK={rank}\0".encode() in Path(f"/proc/{number}/environ").read_bytes():
                return int(number)
    raise RuntimeError(f"the command has started no rank {rank}")
