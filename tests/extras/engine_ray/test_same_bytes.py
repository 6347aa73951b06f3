"""`headrace prep --engine ray` makes the set of the pool, on this machine and on a cluster."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

from ray.cluster_utils import Cluster

from tests.checkout import ROOT
from tests.extras.engine_ray.conftest import WORDS
from tests.prep.contents import as_folder, small
from tests.prep.damage import tree
from tests.prep.test_commands import contents, one_line, run


def test_on_this_machine(slow: Path, whole: Path, tmp_path: Path) -> None:
    """Ray is started for the command and ends with it; its own lines are not seen. Then the set is reused."""
    words = ("prep", slow, tmp_path / "out", *WORDS, "--engine", "ray", "--workers", 2)
    done = run(*words)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "starting Ray on this machine"), done.stderr
    assert [line for line in done.stderr.splitlines() if not line.startswith("prep: ")] == []
    assert contents(tmp_path / "out") == contents(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    again = run(*words)
    assert (again.returncode, "reused" in again.stdout, "starting Ray" in again.stdout) == (0, True, False)


def test_on_a_cluster(cluster: Cluster, slow: Path, whole: Path, tmp_path: Path) -> None:
    """From relative paths and a current folder with a user's own modules; Headrace is found by PYTHONPATH."""
    for name in ("train.py", "random.py", "headrace.py"):
        (tmp_path / name).write_text("raise SystemExit('the user's own')")
    (tmp_path / "in").symlink_to(slow)
    words = ["prep", "in", "out", *WORDS, "--engine", "ray", "--ray-address", cluster.address]
    command = [sys.executable, "-P", "-m", "headrace", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if not line.startswith("prep: ")] == []
    assert contents(tmp_path / "out") == contents(whole)


def test_append(cluster: Cluster, tmp_path: Path) -> None:
    """What is appended by Ray has the bytes of what the pool appends."""
    ray = ("--engine", "ray", "--ray-address", cluster.address)
    for name, engine in (("pool", ()), ("ray", ray)):
        source = as_folder(small(), tmp_path / "first")
        assert run("prep", source, tmp_path / name, "--samples-per-shard", 5, *engine).returncode == 0
        more = as_folder(small(train=9), tmp_path / "second")
        done = run("prep", more, tmp_path / name, "--samples-per-shard", 5, "--append", *engine)
        assert done.returncode == 0, done.stderr
    assert len(json.loads((tmp_path / "ray/shardset.json").read_text("utf-8"))["appended"]) == 1
    assert contents(tmp_path / "ray") == contents(tmp_path / "pool")


def test_bad_images(cluster: Cluster, tmp_path: Path) -> None:
    """They are counted as by the pool: one ends the command with 3 and its name, or is left out, up to a bound."""
    files = {f"{name}/{k}.jpg": data for name in "ab" for k, data in enumerate(list(tree().values())[:1] * 20)}
    source = as_folder(files | {"a/bad.jpg": b"junk", "b/bad.jpg": b"junk"}, tmp_path / "in")
    ray = ("--val-fraction", 0, "--samples-per-shard", 4, "--engine", "ray", "--ray-address", cluster.address)
    done = run("prep", source, tmp_path / "out", *ray)
    assert (done.returncode, "bad.jpg: not a readable image" in one_line(done)) == (3, True), done.stderr
    done = run("prep", source, tmp_path / "out", *ray, "--on-bad", "skip", "--max-bad", 1)
    assert (done.returncode, "2 of 42 images do not decode" in one_line(done)) == (3, True), done.stderr
    done = run("prep", source, tmp_path / "out", *ray, "--on-bad", "skip", "--max-bad", 2)
    assert (done.returncode, "2 of 42 images omitted" in done.stdout) == (0, True), done.stderr


def test_compressed_tar(cluster: Cluster, tmp_path: Path) -> None:
    """It is read from an unnamed copy: on this machine that works, on a cluster it is refused."""
    folder = as_folder(small(), tmp_path / "in")
    with tarfile.open(tmp_path / "in.tar.gz", "w:gz") as archive:
        archive.add(folder, ".")
    source, words = tmp_path / "in.tar.gz", ("--samples-per-shard", 5, "--engine", "ray")
    done = run("prep", source, tmp_path / "far", *words, "--ray-address", cluster.address)
    assert (done.returncode, "a copy that only this machine can open" in one_line(done)) == (2, True), done.stderr
    assert run("prep", source, tmp_path / "near", *words, "--workers", 2).returncode == 0
    assert run("prep", folder, tmp_path / "pool", "--samples-per-shard", 5).returncode == 0
    digests = [json.loads((tmp_path / one / "shardset.json").read_text("utf-8"))["digest"] for one in ("near", "pool")]
    assert digests[0] == digests[1]


def test_host_without_headrace(cluster: Cluster, tmp_path: Path) -> None:
    """One line that says which host, and what to do."""
    source = as_folder(small(), tmp_path / "in")
    program = (
        f"import sys; sys.path[:0] = {[str(ROOT / '.src')]}; sys.argv[0] = 'headrace'\n"
        "from headrace.cli import main; main()"
    )
    words = ("prep", source, tmp_path / "out", "--engine", "ray", "--ray-address", cluster.address)
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-P", "-c", program, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=clean)
    expected = "it cannot load Headrace (No module named 'headrace'). Install Headrace"
    assert (done.returncode, expected in one_line(done)) == (2, True), done.stderr


def test_no_statistics(cluster: Cluster) -> None:
    """Ray is told to send none, unless the user has set its variable."""
    program = (
        "import os, sys; from pathlib import Path\n"
        "from headrace.prep.make.engines.on_ray import on_ray\n"
        "with on_ray(sys.argv[1], Path('/'), None, print):\n"
        "    from ray._common.usage.usage_lib import usage_stats_enabled\n"
        "    print(usage_stats_enabled())"
    )
    clean = {name: value for name, value in os.environ.items() if name != "RAY_USAGE_STATS_ENABLED"}
    for given, seen in (({}, "False"), ({"RAY_USAGE_STATS_ENABLED": "1"}, "True")):
        command = [sys.executable, "-P", "-c", program, cluster.address]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=clean | given)
        assert done.stdout.strip() == seen


def test_head_that_does_not_answer(tmp_path: Path) -> None:
    """One line within seconds, and nothing is made."""
    source = as_folder(small(), tmp_path / "in")
    done = run("prep", source, tmp_path / "out", "--engine", "ray", "--ray-address", "127.0.0.1:9")
    assert (done.returncode, "no answer (Connection refused)" in one_line(done)) == (2, True), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
