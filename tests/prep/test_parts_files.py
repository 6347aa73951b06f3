"""The files in docs/parts work as they say: each makes the set of one process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.checkout import ROOT
from tests.prep.contents import as_folder, small
from tests.prep.test_convert import contents, make

FILES = ROOT / "docs" / "parts"
OPTIONS = ("--samples-per-shard", "4")


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A folder with a source and the set that one process makes from it."""
    make(as_folder(small(), tmp_path / "in"), tmp_path / "whole")
    return tmp_path


def bash(*words: object, **variables: object) -> None:
    """Run bash with these arguments, with the `headrace` of this environment on its path."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path} | {name: str(value) for name, value in variables.items()}
    done = subprocess.run(["/bin/bash", *map(str, words)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_shell_loop(room: Path) -> None:
    """The loop runs two processes and makes the set."""
    bash(FILES / "loop.sh", room / "in", room / "out", 2, *OPTIONS)
    assert contents(room / "out") == contents(room / "whole")


def test_slurm_array(room: Path) -> None:
    """The script is run as by SLURM in each task of an array that does not begin with 1, then on its own."""
    words = (FILES / "slurm.sh", room / "in", room / "out", *OPTIONS)
    for task in (5, 4):
        bash(*words, SLURM_ARRAY_TASK_ID=task, SLURM_ARRAY_TASK_MIN=4, SLURM_ARRAY_TASK_COUNT=2, SLURM_CPUS_PER_TASK=1)
    assert not (room / "out").exists()
    bash(*words)
    assert contents(room / "out") == contents(room / "whole")


def test_kubernetes_jobs(room: Path) -> None:
    """The commands of both Jobs run with the variables that Kubernetes and the file set."""
    parts, publish = yaml.safe_load_all((FILES / "kubernetes.yaml").read_text("utf-8"))
    assert parts["spec"]["completionMode"] == "Indexed"
    place = {"SOURCE": room / "in", "OUT": room / "out"}
    for job, indexes in ((parts, (1, 0)), (publish, (None,))):
        (container,) = job["spec"]["template"]["spec"]["containers"]
        given = {one["name"]: one["value"] for one in container["env"]}
        assert given.get("PARTS", "32") == str(parts["spec"]["completions"])
        for index in indexes:
            own = {"PARTS": 2, "JOB_COMPLETION_INDEX": index} if index is not None else {}
            (text,) = container["args"]
            assert container["command"] == ["bash", "-c"]
            bash("-c", text.replace("--workers 8", f"--workers 1 {' '.join(OPTIONS)}"), **(given | place | own))
    assert contents(room / "out") == contents(room / "whole")
