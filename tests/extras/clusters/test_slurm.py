"""Runs on a real SLURM: two tasks are two ranks, a requeued job goes on, one process stays one."""

import json
import os
import sys
import time
from pathlib import Path

import pytest

from tests.ddp.processes import free_port
from tests.extras.clusters.conftest import PATIENCE, Slurm
from tests.faults.runs import WORKER, arguments, assert_same_run, complete

TASKS = ("srun", "--ntasks=2", "--kill-on-bad-exit=1")


@pytest.fixture(scope="module")
def pair(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of `--nproc 2`."""
    out = tmp_path_factory.mktemp("pair") / "run"
    complete(arguments(tiny_set, out, "--nproc", "2"))
    return out


def script(folder: Path, line: str) -> Path:
    """A batch script of one line."""
    path = folder / "job.sbatch"
    path.write_text(f"#!/bin/bash\n{line}\n")
    return path


def test_tasks_are_ranks(slurm: Slurm, tiny_set: Path, pair: Path, tmp_path: Path) -> None:
    """Two tasks give the bits of `--nproc 2`."""
    out = tmp_path / "run"
    done = slurm.run(*TASKS, sys.executable, WORKER, *arguments(tiny_set, out, "--launcher", "slurm"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert_same_run(pair, out)


def test_torchrun_in_each_task(slurm: Slurm, tiny_set: Path, pair: Path, tmp_path: Path) -> None:
    """`srun torchrun`, whose agents meet at the host by its name, gives them too."""
    out, host = tmp_path / "run", os.uname().nodename
    torchrun: tuple[str, ...] = (
        "-m",
        "torch.distributed.run",
        "--nnodes=2",
        "--nproc-per-node=1",
        "--rdzv-backend=c10d",
    )
    torchrun += ("--rdzv-id=test", f"--rdzv-endpoint={host}:{free_port()}")
    given = arguments(tiny_set, out, "--resume", "auto")
    done = slurm.run(*TASKS, sys.executable, *torchrun, WORKER, *given, TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_same_run(pair, out)


def test_killed_job_is_requeued(slurm: Slurm, tiny_set: Path, pair: Path, tmp_path: Path) -> None:
    """A job whose rank is killed goes on from the last checkpoint when SLURM starts it again, to the same bits."""
    out = tmp_path / "run"
    given = arguments(tiny_set, out, "--launcher", "slurm", "--resume", "auto")
    fault = json.dumps({"what": "kill", "step": 5, "rank": 1})
    first = f"[ ${{SLURM_RESTART_COUNT:-0}} = 0 ] && export FAULT='{fault}'"
    quoted = " ".join(f"'{word}'" for word in (sys.executable, WORKER, *given))
    path = script(tmp_path, f"{first}\n{' '.join(TASKS)} {quoted} || scontrol requeue $SLURM_JOB_ID")
    job = slurm.submit(path, "--ntasks=2", "--requeue", "--open-mode=append", f"--output={tmp_path}/log")
    end = time.monotonic() + PATIENCE
    while (state := slurm.state(job)) not in ("COMPLETED", "FAILED"):
        assert time.monotonic() < end, f"job {job} is {state}"
        if state == "PENDING":  # a requeued job waits for two minutes
            slurm.run("scontrol", "update", f"job={job}", "StartTime=now")
        time.sleep(0.5)
    assert state == "COMPLETED", (tmp_path / "log").read_text()
    assert "resume   from" in (tmp_path / "log").read_text()
    assert_same_run(pair, out)


def test_tasks_without_the_option_are_refused(slurm: Slurm, tiny_set: Path, tmp_path: Path) -> None:
    """Two tasks that would each train the whole run end at once, and are told both ways."""
    done = slurm.run("srun", "--ntasks=2", sys.executable, WORKER, *arguments(tiny_set, tmp_path / "run"))
    assert done.returncode == 2, done.stderr
    assert "one of 2 tasks of a SLURM step" in done.stderr
    assert "--launcher slurm" in done.stderr
    assert not (tmp_path / "run").exists()


def test_one_process_of_a_batch_script_is_let_be(slurm: Slurm, tiny_set: Path, pair: Path, tmp_path: Path) -> None:
    """In a batch script for two tasks, and under salloc, the command without srun is one process."""
    given = [sys.executable, str(WORKER), "train", str(tiny_set), "--out", str(pair), "--resume"]
    path = script(tmp_path, " ".join(f"'{word}'" for word in given))
    job = slurm.submit(path, "--ntasks=2", f"--output={tmp_path}/log")
    slurm.wait(job, "COMPLETED", "FAILED")
    assert "this run is finished" in (tmp_path / "log").read_text()
    done = slurm.run("salloc", "--ntasks=2", *given)
    assert done.returncode == 0, done.stderr
    assert "this run is finished" in done.stdout
