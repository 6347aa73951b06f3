"""Preps on Ray that are interrupted: exit codes, nothing left running, and the other engine continues them."""

import os
import signal
import time
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from tests.extras.engine_ray.conftest import WORDS
from tests.extras.engine_ray.hosts import marked, wait_until_gone
from tests.prep.test_commands import contents, run, start, wait_for_shards

RAY = ("--engine", "ray", "--workers", 2)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), *((number, -number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL))],
)
def test_the_pool_continues(
    number: int, code: int, slow: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C reaches the whole group, as from a terminal, the others the command alone; the pool makes the rest.

    Nothing is left running; after a kill -9 some processes of Ray's own need a minute to notice.
    """
    monkeypatch.setenv("MARK", mark := f"of-{tmp_path.name}-{os.getpid()}")
    process = start("prep", slow, tmp_path / "out", *WORDS, *RAY)
    monkeypatch.delenv("MARK")
    wait_for_shards(tmp_path / "out", 3)
    assert len(marked(mark)) > 2, "processes of Ray are seen"
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors.decode()
    assert b"Traceback" not in errors
    if number == signal.SIGINT:
        assert errors.splitlines()[-1] == b"headrace: interrupted"
    assert not (tmp_path / "out").exists()
    wait_until_gone(mark, 20 if number != signal.SIGKILL else 180)
    done = run("prep", slow, tmp_path / "out", *WORDS)
    assert (done.returncode, "continuing an interrupted run" in done.stdout) == (0, True), done.stderr
    assert contents(tmp_path / "out") == contents(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_ray_continues(cluster: Cluster, slow: Path, whole: Path, tmp_path: Path) -> None:
    """The pool is killed, then a command on the cluster, whose tasks end with it; the next one there makes the rest."""
    process = start("prep", slow, tmp_path / "out", *WORDS, "--workers", 2)
    wait_for_shards(tmp_path / "out", 3)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    words = ("prep", slow, tmp_path / "out", *WORDS, "--engine", "ray", "--ray-address", cluster.address)
    process = start(*words)
    wait_for_shards(tmp_path / "out", shards(tmp_path) + 3)
    process.kill()
    process.wait()
    time.sleep(3)
    left = shards(tmp_path)
    time.sleep(3)
    assert shards(tmp_path) == left < 40, "no task goes on"
    done = run(*words)
    assert (done.returncode, "continuing an interrupted run" in done.stdout) == (0, True), done.stderr
    assert contents(tmp_path / "out") == contents(whole)


def shards(folder: Path) -> int:
    """Finished shards."""
    return len(list(folder.glob(".out.partial/*.records/*.record")))
