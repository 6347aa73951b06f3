import csv
import os
import subprocess
from pathlib import Path

import pytest
import torch

from headrace.train.checkpoint import files
from headrace.train.machine.device import Accelerator
from tests.checkout import HEADRACE
from tests.ddp.processes import run_ranks

SMALL = ("train.global_batch=48", "train.group=8", "train.epochs=1", "runtime.verdict=false", "runtime.log_every=1")


def command(shards: Path, out: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """`headrace train` without a word about the device."""
    return subprocess.run(
        [*HEADRACE, "train", str(shards), "--recipe", "demo", "--out", str(out), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        env={**os.environ, **environment},
    )


def test_no_flag_is_needed(tiny_set: Path, tmp_path: Path) -> None:
    """Alone, the command takes the GPU and says what it chose in one line."""
    settings = [word for one in SMALL for word in ("--set", one)]
    done = command(tiny_set, tmp_path / "run", *settings)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("device ")]
    assert torch.cuda.get_device_name(0) in line
    precision = Accelerator(0).candidate_precisions()[0]
    assert all(word in line for word in (precision, "channels_last", "decode on cpu", "compile"))


def test_hidden_gpu_is_named(tiny_set: Path, tmp_path: Path) -> None:
    """CUDA_VISIBLE_DEVICES that hides the GPU is what the error is about."""
    done = command(tiny_set, tmp_path / "run", "--device", "cuda", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2
    assert "CUDA_VISIBLE_DEVICES is '', which hides every GPU" in done.stderr


def test_more_processes_than_gpus(tiny_set: Path, tmp_path: Path) -> None:
    """One process too many is refused before anything starts."""
    count = Accelerator.look().count + 1
    done = command(tiny_set, tmp_path / "run", "--nproc", str(count), "--set", "train.group=1")
    assert done.returncode == 2
    assert "NCCL cannot share a GPU among processes" in done.stderr


def test_one_process_a_gpu(tiny_set: Path, tmp_path: Path) -> None:
    """Over NCCL the run takes the updates of one process: its losses in fp32, and its evaluation counts the same."""
    count = min(2, Accelerator.look().count)
    if count < 2:
        pytest.skip("needs two GPUs")
    settings = (*SMALL, "runtime.device=cuda", "runtime.precision=fp32", "optim.lr=0.0001", "model.dropout=0.2")
    for size in (1, count):
        run_ranks("train_worker.py", size, tiny_set, tmp_path / str(size), *settings)
    rows = []
    for size in (1, count):
        with (tmp_path / str(size) / "epochs.csv").open() as file:
            rows.append(next(csv.DictReader(file)))
    assert float(rows[1]["train_loss"]) == pytest.approx(float(rows[0]["train_loss"]), rel=1e-3)
    assert files.load(tmp_path / "2" / "last.pt").state["world"]["processes"] == count


def test_memory_that_runs_out_is_explained(tiny_set: Path, tmp_path: Path) -> None:
    """A group that cannot fit ends the run in one line with code 1, which names what the GPU has and what to lower."""
    settings = ["train.global_batch=480", "train.group=480", "augment.size=288", "model.name=efficientnet-b7"]
    # at 288 px no tensor has 2^31 elements, beyond which torch takes other ways before memory runs out
    total = torch.cuda.mem_get_info()[1]
    if total > 180 * 2**30:
        pytest.skip("the largest group of the tiny set fits into this GPU")
    done = command(tiny_set, tmp_path / "run", *[word for one in settings for word in ("--set", one)])
    assert done.returncode == 1, done.stdout
    assert "out of memory on" in done.stderr
    assert "Traceback" not in done.stderr
    assert "GiB more were requested. The device has " in done.stderr
    assert "Lower train.group, which is 480" in done.stderr
