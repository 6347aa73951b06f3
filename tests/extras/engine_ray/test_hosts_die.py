"""Hosts of a Ray cluster that die while they make shards, and hosts that do not see the shared folder."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from tests.extras.engine_ray.conftest import WORDS
from tests.extras.engine_ray.hosts import add_host, kill_at_work, tar_of, workers
from tests.prep.contents import as_folder, small
from tests.prep.test_commands import contents, run, start, wait_for_shards

KILLS = 3


@pytest.fixture
def other(cluster: Cluster) -> Any:
    """The host that is not the head."""
    (host,) = cluster.worker_nodes
    return host


def test_killed_at_random_moments(cluster: Cluster, other: Any, slow: Path, whole: Path, tmp_path: Path) -> None:
    """Three times in one run a host dies while it makes a shard, and another one joins: the bytes of the pool.

    The moments are random numbers of finished shards; a kill counts only if a tar was unfinished on that host then.
    """
    chance, host, killed = random.Random(11), other, []
    process = start("prep", slow, tmp_path / "out", *WORDS, "--engine", "ray", "--ray-address", cluster.address)
    for moment in sorted(chance.sample(range(1, 28), KILLS)):
        wait_for_shards(tmp_path / "out", moment)
        killed.append(kill_at_work(cluster, host))
        host = add_host(cluster)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors.decode()
    assert len(killed) == KILLS
    assert contents(tmp_path / "out") == contents(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_processes_that_die_again_and_again(cluster: Cluster, slow: Path, tmp_path: Path) -> None:
    """As if memory is short: Ray tries a shard five times; then the command ends with 1 and one line."""
    process = start("prep", slow, tmp_path / "out", *WORDS, "--engine", "ray", "--ray-address", cluster.address)
    while process.poll() is None:
        for worker in [one for host in (cluster.head_node, *cluster.worker_nodes) for one in workers(host)]:
            if tar_of(worker) is not None:
                os.kill(worker, signal.SIGKILL)
        time.sleep(0.01)
    _, errors = process.communicate()
    last = errors.decode().splitlines()[-1]
    assert (process.returncode, "each of 5 processes that tried to make this shard died" in last) == (1, True), (
        errors.decode()
    )
    assert b"Traceback" not in errors


def test_host_that_lacks_the_folder(cluster: Cluster, tmp_path: Path) -> None:
    """A host on which another disk lies at the path of OUT: one line with what to do, and exit code 2."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("mounting in a namespace of its own is not allowed here")
    source = as_folder(small(train=20), tmp_path / "in")
    (tmp_path / "disk").mkdir()
    script = 'mount -t tmpfs tmpfs "$1"; exec "$2" start --address "$3" --num-cpus 4 --block'
    ray = Path(sys.executable).with_name("ray")
    command = [unshare, "-rm", "bash", "-ec", script, "bash", tmp_path / "disk", ray, cluster.address]
    away = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        words = ("--samples-per-shard", 1, "--engine", "ray", "--ray-address", cluster.address)
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:  # until that host has joined, all goes well
            done = run("prep", source, tmp_path / "disk/out", *words)
            if done.returncode:
                break
            shutil.rmtree(tmp_path / "disk/out")
    finally:
        away.terminate()
        away.wait(60)
    assert (done.returncode, "OUT must be in a folder that all hosts see" in done.stderr) == (2, True), done.stderr
