"""Images that end the process of the decoder, in sets that older versions made."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.faults.runs import arguments, here, one_line, running
from tests.shards.older_sets import KEY, TWO_EXIF, older_set

NAMED = ("train-000000.tar", f"key {KEY} (source train/", "two EXIF segments", "headrace verify")


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known yet of any set."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """A set with one image that has two EXIF segments of different orientations."""
    return older_set(tmp_path, *TWO_EXIF)


def test_training_names_the_image(shards: Path, tmp_path: Path) -> None:
    """A run ends with 3 and the image's name before anything is decoded or written; each time anew."""
    for _ in range(2):
        one_line(here(*arguments(shards, tmp_path / "run", train__global_batch=8)), 3, *NAMED)
    assert not (tmp_path / "run").exists()


@pytest.mark.faults
def test_evaluation_names_the_image(tiny_zip: Path, undisturbed: Path, tmp_path: Path) -> None:
    """`headrace eval` on such a set ends in the same way."""
    root = older_set(tmp_path, *TWO_EXIF, source=tiny_zip)
    one_line(here("eval", str(undisturbed / "last.pt"), str(root), "--device", "cpu"), 3, *NAMED)


@pytest.mark.faults
@pytest.mark.parametrize("cache", ["none", "decoded"])
def test_all_ranks_end(shards: Path, tmp_path: Path, cache: str) -> None:
    """So do two ranks, of which one looks and the other waits."""
    values = {"train__global_batch": 16, "runtime__cache": cache}
    with running(arguments(shards, tmp_path / "run", "--nproc", "2", **values)) as process:
        _, errors = process.communicate(timeout=250)
    assert process.returncode == 3, errors
    (line,) = errors.splitlines()
    assert [word for word in NAMED if word not in line] == []


@pytest.mark.parametrize("walk", ["blamed", "explained"])
def test_error_path_does_not_decode_it(shards: Path, walk: str) -> None:
    """Where a decoder failed on a batch, such an image is named without being decoded.

    In a process of its own, which it would end by a signal.
    """
    code = f"""
import numpy as np
from pathlib import Path
from headrace.shards.errors import HeadraceError
from headrace.shards.shardset import ShardSet
from headrace.train.input.decode.blame import blamed, explained
split = ShardSet.open(Path({str(shards)!r})).split("train")
ids = np.arange(len(split))
print({"explained(split, ids, RuntimeError())" if walk == "explained" else f"blamed(split, {int(KEY)})"})
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [word for word in NAMED if word not in done.stdout] == []
