"""What the machine lacks is not laid to the data: no descriptor left, no shared memory."""

import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from headrace.prep.scan import scan_tar
from headrace.prep.sources.detect import open_files
from headrace.prep.sources.zip import ZipFiles
from headrace.shards import index, manifest, store
from headrace.shards.errors import DataError, HeadraceError
from headrace.shards.open_files import LimitError
from headrace.shards.shardset import ShardSet
from headrace.shards.verify import verify
from headrace.train.checkpoint import files
from headrace.train.input.decode import (
    blame,
    dali,
    strips,  # noqa: F401  loaded before there is no descriptor left
)
from headrace.train.input.decode.cache import CacheFile
from headrace.train.input.decode.cached import Decoded
from headrace.train.model.weights import load_weights
from tests.checkout import ROOT
from tests.disks import in_namespace
from tests.faults.runs import WORKER, arguments, assert_same_run, here
from tests.prep.contents import as_folder, as_zip, small
from tests.train.model.test_weights import network


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """As where a program has opened all files that it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    taken: list[int] = []
    try:
        while True:
            try:
                taken.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        yield
    finally:
        for number in taken:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def read_first(path: Path) -> Callable[[], object]:
    """Reads the first file of a source that has been looked at."""
    found = open_files(path, path.parent)
    entry = next(iter(found.table()))
    return lambda: found.reader("").read(entry)


def readers(at: Path) -> dict[str, Callable[[], object]]:
    """What opens files, by name. `at` has a set, a zip, a folder, a tar, a file of weights."""
    shards = ShardSet.open(at / "set")
    info = shards.manifest.splits[0].index
    cache = CacheFile.of(shards, "val", at)
    return {
        "manifest": lambda: manifest.load(at / "set"),
        "index": lambda: index.read_numbers(at / "set", info, ("label",)),
        "split": lambda: shards.split("train"),
        "verify": lambda: verify(at / "set", decode=None, threads=1, progress=lambda _: None),
        "tar to adopt": lambda: scan_tar(at / "set" / "val-000000.tar"),
        "folder": lambda: open_files(at / "in", at).stamp(),
        "file of a folder": read_first(at / "in"),
        "zip": lambda: ZipFiles(at / "a.zip").table(),
        "file of a zip": read_first(at / "a.zip"),
        "file of a tar": read_first(at / "set" / "val-000000.tar"),
        "checkpoint": lambda: files.load(at / "weights.pt"),
        "weights": lambda: load_weights(network(), at / "weights.pt"),
        "decoded cache": lambda: Decoded(cache, shards),
        "a file to write": lambda: store.write_bytes(at / "new", b""),
    }


def test_too_few_descriptors_are_no_damage(tiny_set: Path, tmp_path: Path) -> None:
    """Whatever is to be opened, the error says which limit to raise, ends the command with 1, and blames no file."""
    shutil.copytree(tiny_set, tmp_path / "set")
    as_folder(small(), tmp_path / "in")
    as_zip(small(), tmp_path / "a.zip")
    (tmp_path / "weights.pt").write_bytes(b"")
    for name, read in readers(tmp_path).items():
        with no_descriptor_left(), pytest.raises(HeadraceError) as caught:
            read()
        assert isinstance(caught.value, LimitError), (name, caught.value)
        assert caught.value.exit_code == 1
        assert "(RLIMIT_NOFILE, at most" in str(caught.value), name
        assert "Raise the limit first: `ulimit -n " in str(caught.value), name


def test_decoder_that_cannot_work_blames_no_image(tiny_set: Path) -> None:
    """Where it does not even start, no sample is named, neither at once nor when it is asked which one failed."""
    split = ShardSet.open(tiny_set).split("val")
    assert blame.explained(split, np.arange(3), RuntimeError("encountered:\nanything")).exit_code == 1
    calls: list[Callable[[], object]] = [
        lambda: dali.Decoder(4, 1),
        lambda: next(blame.decode_all(split, 4, threads=1)),
        lambda: blame.explained(split, np.arange(3), RuntimeError("encountered:\nanything")),
    ]
    for call in calls:
        with (
            no_descriptor_left(),
            pytest.raises(HeadraceError, match=r"cannot start its image decoder.*`ulimit -n`") as caught,
        ):
            call()
        assert not isinstance(caught.value, DataError)


NO_SHM = """
mount -t tmpfs -o ro,mode=000 tmpfs /dev/shm; cd "$1"
if "$2" -c 'import multiprocessing; multiprocessing.get_context("spawn").Lock()' 2>/dev/null; then exit 77; fi
"""
PREP = (
    NO_SHM + '"$2" -P -m headrace prep "$3" "$4" --samples-per-shard 5 --workers 2; "$2" -m headrace verify --deep "$4"'
)


def test_prep_needs_no_shared_memory(tmp_path: Path) -> None:
    """Without a /dev/shm that can be written, workers make the set, and every image is sound."""
    source = as_zip(small(), tmp_path / "a.zip")
    done = in_namespace(PREP, ROOT, sys.executable, source, tmp_path / "set")
    assert done.returncode == 0, done
    assert "sound. 24 samples in 6 shards" in done.stdout


@pytest.mark.faults
def test_training_needs_no_shared_memory(tiny_set: Path, pair: Path, tmp_path: Path) -> None:
    """Nor does a run on two processes, which has the same bits."""
    script = NO_SHM + 'export PYTHONPATH="$5"; "$2" "$3" "${@:6}"'
    given = arguments(tiny_set, tmp_path / "run", "--nproc", "2")
    done = in_namespace(script, ROOT, sys.executable, WORKER, "", os.environ["PYTHONPATH"], *given)
    assert done.returncode == 0, done
    assert_same_run(pair, tmp_path / "run")


def test_run_in_the_current_folder(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--out .` is the folder that it means; the lock beside it goes with the run."""
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    result = here(*arguments(tiny_set, Path(), runtime__checkpoint_steps=None))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "run" / "last.pt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
