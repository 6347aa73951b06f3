"""The main path by the command that users give, and what they read when something is wrong."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from headrace.train.input.kernels.kept import LOOPS
from tests.e2e.commands import SMALL, headrace, here, refused

ACCURACY = re.compile(r"Test Loss: ([\d.]+), Test Acc: ([\d.]+)%")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small drawn shard set: 12 classes of 12 images."""
    out = tmp_path_factory.mktemp("e2e") / "shards"
    result = headrace("prep", "--demo", out, "--per-class", 12, "--workers", 1)
    assert result.code == 0, result.stderr
    assert "144" in result.stdout
    return out


@pytest.fixture(scope="module")
def run(shards: Path) -> tuple[Path, str]:
    """A run of one epoch on two processes, and what it printed."""
    out = shards.parent / "run"
    result = headrace("train", shards, "--out", out, "--nproc", 2, *SMALL)
    assert result.code == 0, result.stderr
    return out, result.stdout


def entries(folder: Path) -> dict[str, int]:
    """Every file below a folder with the time of its last change."""
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}


def test_run_says_what_it_does_and_leaves_its_results(run: tuple[Path, str]) -> None:
    """Two processes print as one: the start lines, one epoch line, the results; the folder holds what is promised."""
    folder, printed = run
    assert "6 groups" not in printed
    assert "2 groups of 12 over 2 processes (1, 1; balance 100%)" in printed
    assert "6 of 24 samples in 1 epoch at" in printed
    assert printed.count("Train Loss") == 1
    assert f"results are in {folder}" in printed
    names = {path.name for path in folder.iterdir()}
    wanted = {"recipe.toml", "environment.json", "metrics.jsonl", "epochs.csv", "last.pt", "best.pt", "checkpoints"}
    assert wanted <= names


def test_eval_gives_the_accuracy_of_the_epoch_line(run: tuple[Path, str], shards: Path) -> None:
    """One process that evaluates the checkpoint prints the loss and accuracy that two processes printed in training."""
    folder, printed = run
    trained = ACCURACY.search(printed)
    result = headrace("eval", folder / "best.pt", shards)
    measured = ACCURACY.search(result.stdout)
    assert trained is not None
    assert measured is not None, result.stderr
    assert measured[2] == trained[2]
    assert float(measured[1]) == pytest.approx(float(trained[1]), abs=2e-5)
    assert "of 144 images" in result.stdout


def test_eval_warns_where_loops_are_not_as_usual(
    run: tuple[Path, str], shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What slows it down is one line on standard error, beside the accuracy; foreign parts of it are escaped."""
    monkeypatch.setattr(LOOPS, "trouble", "numba cannot be imported (\x1b[31m)")
    measured = here("eval", run[0] / "best.pt", shards)
    assert measured.code == 0
    assert ACCURACY.search(measured.stdout) is not None
    assert "headrace: warning: numba cannot be imported (\\u001b[31m)" in measured.stderr.splitlines()


def test_eval_on_two_ranks_is_eval(run: tuple[Path, str], shards: Path) -> None:
    """Under torchrun the ranks share the batches, and rank 0 alone prints the one accuracy."""
    folder, printed = run
    trained = ACCURACY.search(printed)
    assert trained is not None
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "headrace", "eval", str(folder / "best.pt"), str(shards), "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert [found[1] for found in ACCURACY.findall(done.stdout)] == [trained[2]]


def test_second_prep_reuses_the_set(shards: Path) -> None:
    """The same command again changes no file."""
    before = entries(shards)
    result = headrace("prep", "--demo", shards, "--per-class", 12)
    assert result.code == 0, result.stderr
    assert "reus" in result.stdout
    assert entries(shards) == before


def test_finished_run_is_not_overwritten(run: tuple[Path, str], shards: Path) -> None:
    """Training into a folder that holds a run is refused, and the run stays as it is."""
    folder, _ = run
    before = entries(folder)
    refused(here("train", shards, "--out", folder, *SMALL), 2, str(folder), "already holds a run", "--resume")
    assert entries(folder) == before


def test_other_classes_are_refused(run: tuple[Path, str], shards: Path, tmp_path: Path) -> None:
    """A checkpoint for twelve classes is neither evaluated nor trained further on a set of five."""
    folder, _ = run
    few = tmp_path / "few"
    assert headrace("prep", shards.parent / "shards.source.zip", few, "--classes", 5, "--per-class", 3).code == 0
    refused(here("eval", folder / "last.pt", few), 2, "trained on 12 classes", "has 5")
    resumed = here("train", few, "--out", tmp_path / "run", "--resume", folder / "last.pt")
    refused(resumed, 2, "trained on 12 classes", "has 5")
    assert not (tmp_path / "run").exists()


@pytest.fixture
def copy(shards: Path, tmp_path: Path) -> Path:
    """A copy of the set that a test may damage."""
    return Path(shutil.copytree(shards, tmp_path / "copy"))


def test_set_without_manifest_is_none(copy: Path, tmp_path: Path) -> None:
    """Without its manifest, written last, a folder of tars is no shard set: not for training, nor for the checks."""
    (copy / "shardset.json").unlink()
    for command in ("train", "verify"):
        result = here(command, copy, *(("--out", tmp_path / "run") if command == "train" else ()))
        assert result.code in (2, 3)
        refused(result, result.code, "shardset.json")
    assert not (tmp_path / "run").exists()


def test_tar_of_another_size_is_refused(copy: Path, tmp_path: Path) -> None:
    """A tar that was cut is named with both sizes and the remedy, once for both processes."""
    tar = copy / "train-000000.tar"
    size = tar.stat().st_size
    with tar.open("r+b") as file:
        file.truncate(size - 512)
    result = headrace("train", copy, "--out", tmp_path / "run", "--nproc", 2, *SMALL)
    refused(result, 3, "train-000000.tar", f"{size - 512:,}", f"{size:,}", "headrace prep")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--resume", "gone.pt"), ("gone.pt",)),
        (("--set", "train.epoch=3"), ("train.epoch: unknown key", "epochs")),
        (("--set", "optim.lr=-1"), ("optim.lr", "greater than 0")),
        (("--recipe", "no-such"), ("no-such", "b0-224")),
        (("--weights", "gone.pth"), ("gone.pth", "no such file")),
        (("--nproc", "3"), ("3 processes, but the global batch has only 2 groups", "start at most 2")),
        (("--nproc", "2", "--weights", "gone.pth"), ("gone.pth", "no such file")),
    ],
)
def test_mistakes_are_one_line(
    shards: Path, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    """A request that cannot be carried out is refused with what to do, exit code 2, and nothing is written."""
    out = tmp_path / "run"
    refused(here("train", shards, "--out", out, *SMALL, *arguments), 2, *words)
    assert not out.exists()


def test_resume_that_leads_nowhere_is_no_fresh_start(shards: Path, tmp_path: Path) -> None:
    """--resume without a checkpoint is refused, with exit code 2, and no run begins."""
    out = tmp_path / "run"
    refused(headrace("train", shards, "--out", out, *SMALL, "--resume"), 2, "no checkpoint to resume from")
    assert not out.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without CUDA")
@pytest.mark.parametrize("processes", [1, 2])
def test_absent_cuda_is_refused(shards: Path, tmp_path: Path, processes: int) -> None:
    """CUDA that is asked for and absent is one line for all processes together; the CPU is not taken silently."""
    out = tmp_path / "run"
    given = ("train", shards, "--out", out, *SMALL, "--device=cuda", "--nproc", processes)
    refused(here(*given), 2, "cuda was requested", "--device cpu")
    assert not out.exists()


@pytest.mark.parametrize("processes", [1, 2])
def test_download_without_network_is_one_line(shards: Path, tmp_path: Path, processes: int) -> None:
    """Weights that cannot be fetched: which, why, and how to give a file, once for all processes; no run is begun."""
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    env = {**nowhere, "no_proxy": "", "NO_PROXY": "", "TORCH_HOME": str(tmp_path / "torch")}
    given = ("train", shards, "--out", tmp_path / "run", *SMALL, "--set=model.init=pretrained", "--nproc", processes)
    wanted = "efficientnet-b0-355c32eb.pth"
    refused(headrace(*given, env=env), 1, f"{wanted} cannot be fetched", f"--weights {wanted}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [None, "folder", b"PK\3\4 no zip"], ids=["missing", "empty folder", "no zip"])
def test_wrong_source_is_one_line(tmp_path: Path, content: bytes | str | None) -> None:
    """A source that is missing, empty or broken is named, and leaves nothing behind."""
    source = tmp_path / "source"
    if content == "folder":
        source.mkdir()
    elif isinstance(content, bytes):
        source.write_bytes(content)
    result = headrace("prep", source, tmp_path / "set")
    assert result.code in (2, 3)
    refused(result, result.code, str(source))
    assert [path.name for path in tmp_path.iterdir() if path != source] == []


def test_cut_zip_is_refused(shards: Path, tmp_path: Path) -> None:
    """A zip whose download stopped half-way is damaged data, named, and leaves nothing behind."""
    content = (shards.parent / "shards.source.zip").read_bytes()
    (tmp_path / "source.zip").write_bytes(content[: len(content) // 2])
    result = headrace("prep", tmp_path / "source.zip", tmp_path / "set")
    refused(result, 3, "source.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["source.zip"]
