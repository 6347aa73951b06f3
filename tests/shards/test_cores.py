"""The number of cores used: no more than the affinity mask and the control group allow the process."""

import os
import sys
from pathlib import Path

import pytest

from headrace.shards.cores import usable_cores
from tests.checkout import ROOT
from tests.disks import in_namespace

# The commands, which print how many threads or workers they are about to start.
PROGRAM = """
import sys
from headrace import cli
from headrace.prep import adopt, convert
from headrace.shards import verify

def telling(module, name, place):
    real = getattr(module, name)
    def told(*given):
        print("starts", given[place])
        return real(*given)
    setattr(module, name, told)

telling(adopt, "ThreadPoolExecutor", 0)
telling(verify, "ThreadPoolExecutor", 0)
telling(convert, "make_missing", 2)
cli.main()
"""
SCRIPT = """
mount -t tmpfs tmpfs /sys/fs/cgroup; echo "100000 100000" >/sys/fs/cgroup/cpu.max; cd "$1"
headrace() { "$2" -c "$3" "${@:6}" | grep starts; }
headrace "$@" prep "$4" "$5/set" --samples-per-shard 100 --classes 2
headrace "$@" verify "$5/set"
headrace "$@" index "$5/set"
"""


def test_cores_are_those_that_may_be_used() -> None:
    """At least one core and no more than the affinity mask allows are used."""
    assert 1 <= usable_cores() <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("quota", "cores"), [("150000 100000", 1), ("50000 100000", 1), ("300000 100000", 3), ("max 100000", 4)]
)
def test_cores_are_cut_to_the_quota(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str, cores: int) -> None:
    """The quota of a container counts: of four cores with a quota of one and a half, one is used."""
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    real = open
    monkeypatch.setattr("builtins.open", lambda path, **named: real(tmp_path / Path(path).name, **named))
    assert usable_cores() == cores


def test_prep_verify_and_index_keep_to_the_quota(tiny_zip: Path, tmp_path: Path) -> None:
    """Each command starts one worker or thread in a control group that may use one core."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("there is one core only")
    done = in_namespace(SCRIPT, ROOT, sys.executable, PROGRAM, tiny_zip, tmp_path)
    assert done.stdout.split("\n") == ["starts 1", "starts 1", "starts 1", ""], done
