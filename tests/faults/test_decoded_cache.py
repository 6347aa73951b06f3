"""A decoded cache that is cut or changed while a run reads it: one line, exit code 3, and the next run goes on."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.runs import arguments, assert_same_run, here, running, wait_for

SLOW = {"what": "slow", "seconds": 0.3}
Harm = Callable[[Path], None]


def cut(path: Path) -> None:
    """Cut the file, to its header."""
    os.truncate(path, 4096)


def invert(path: Path) -> None:
    """Invert all pixels and checksums, in place."""
    sound = path.read_bytes()
    with path.open("r+b") as stream:
        stream.seek(4096)
        stream.write(sound[4096:].translate(bytes(range(255, -1, -1))))


@pytest.mark.faults
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("harm", [cut, invert], ids=lambda harm: harm.__name__)
def test_harmed_while_a_run_reads_it(
    tiny_set: Path, undisturbed: Path, tmp_path: Path, harm: Harm, processes: int
) -> None:
    """Another process does it; the line has the cache, the sample and what to do, and no rank ends by a signal.

    The run that is given again makes the cache again, and ends as one that nothing disturbed.
    """
    out, folder = tmp_path / "run", tmp_path / "cache"
    given = arguments(tiny_set, out, "--resume", "auto", runtime__cache="decoded", runtime__cache_dir=str(folder))
    ranks = ["--nproc", str(processes)] if processes > 1 else []
    with running([*given, *ranks], fault=SLOW) as process:
        wait_for(out, 2, process)
        (path,) = folder.glob("train-*.rgb")
        harm(path)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 3, errors
    lines = errors.splitlines()
    assert 1 <= len(lines) <= processes  # ranks may meet it at the same moment
    for line in lines:
        assert line.startswith(f"headrace: error: {path}: the decoded pixels of train-00000")
        assert line.endswith("The cache was removed. Start again to rebuild it")
    assert not path.exists()
    result = here(*given)
    assert result.exit_code == 0, result.output
    assert path.exists()
    if processes == 1:
        assert_same_run(undisturbed, out)
