import errno
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headrace.train.checkpoint import files
from tests.faults.runs import STEPS, arguments, assert_same_run, here, one_line, running, wait_for

MOUNT, UMOUNT = (shutil.which(name) or "/bin/false" for name in ("mount", "umount"))


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """A file system of its own in `folder`; the test is skipped where it may not be mounted."""
    folder.mkdir()
    done = subprocess.run([MOUNT, *options, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a file system here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run([UMOUNT, "--lazy", str(folder)], check=True)


def test_disk_full_during_a_checkpoint(tiny_set: Path, undisturbed: Path, tmp_path: Path) -> None:
    """On a full disk the run ends with 1 and one line; what was saved is whole, and with more space it goes on."""
    size = (undisturbed / "last.pt").stat().st_size
    disk = tmp_path / "disk"
    with mounted(disk, "-t", "tmpfs", "-o", f"size={int(3.5 * size)}", "headrace-test"):
        given = arguments(tiny_set, disk / "run")
        result = here(*given)
        one_line(result, 1, "the disk is full", "free some space and try again", "--resume")
        assert "shards" not in result.stderr.replace(str(tiny_set), ""), result.stderr
        (state, path, _), damaged = files.newest(disk / "run")
        assert (state["progress"]["step"], damaged) == (6, [])
        assert [one.name for one in path.parent.iterdir() if not one.name.startswith("step-")] == []
        subprocess.run([MOUNT, "-o", f"remount,size={10 * size}", str(disk)], check=True)
        result = here(*given, "--resume")
        assert result.exit_code == 0, result.output
        assert_same_run(undisturbed, disk / "run")


def test_checkpoint_beyond_the_file_size_limit(tiny_set: Path, tmp_path: Path) -> None:
    """A quota on the size of a file ends the run as a full disk does, also where nothing can be mounted."""
    out, before = tmp_path / "run", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        result = here(*arguments(tiny_set, out))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    one_line(result, 1, "checkpoints/step-", os.strerror(errno.EFBIG))
    assert list((out / "checkpoints").iterdir()) == []


def test_metrics_on_a_full_disk(tiny_set: Path, tmp_path: Path) -> None:
    """A row of the metrics that does not fit ends the run with one line too."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=12k", "headrace-test") as disk:
        one_line(here(*arguments(tiny_set, disk / "run", runtime__checkpoint_steps=None)), 1, "the disk is full")


def test_read_only_run_folder(tiny_set: Path, tmp_path: Path) -> None:
    """A run folder that cannot be written is refused with 2 before the first step."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "ro", "headrace-test") as disk:
        one_line(here(*arguments(tiny_set, disk / "run")), 2, "cannot write there", "Read-only")


@pytest.mark.faults
def test_run_folder_that_becomes_read_only(tiny_set: Path, tmp_path: Path) -> None:
    """A resumed run whose folder cannot be written any more is refused with 2, and its checkpoints stay."""
    disk = tmp_path / "disk"
    with mounted(disk, "-t", "tmpfs", "headrace-test"):
        given = arguments(tiny_set, disk / "run", train__epochs=1)
        assert here(*given).exit_code == 0
        for last in (disk / "run" / "checkpoints").glob(f"step-{STEPS:08d}-*"):
            last.unlink()  # a run that is finished needs to write nothing
        subprocess.run([MOUNT, "-o", "remount,ro", str(disk)], check=True)
        one_line(here(*given, "--resume"), 2, "cannot write there")
        files.newest(disk / "run")


@pytest.mark.faults
def test_second_run_in_the_same_folder_is_refused(tiny_set: Path, tmp_path: Path) -> None:
    """While a run writes a folder, another command that would write it ends with one line."""
    out = tmp_path / "run"
    given = arguments(tiny_set, out, "--resume", "auto")
    with running(given, fault={"what": "slow", "seconds": 1}) as process:
        wait_for(out, 1, process)
        one_line(here(*given), 1, "another headrace command is writing it")
