"""The block of docs/prep-in-parts.md about Ray, run as it stands there."""

import subprocess
import sys
from pathlib import Path

from ray.cluster_utils import Cluster

from tests.prep.contents import as_folder, small
from tests.prep.test_commands import contents, run
from tests.project.blocks import PAGES, blocks_of


def test_block_of_the_page(cluster: Cluster, tmp_path: Path) -> None:
    """On a cluster whose head has another address."""
    (page,) = [one for one in PAGES if one.name == "prep-in-parts.md"]
    (block,) = [one for one in blocks_of(page) if "engine_ray" in one.by]
    as_folder(small(), tmp_path / "SOURCE")
    assert run("prep", tmp_path / "SOURCE", tmp_path / "whole").returncode == 0
    text = block.text.replace("HEAD:6379", cluster.address).replace("headrace ", f"{sys.executable} -P -m headrace ")
    command = ["bash", "-euo", "pipefail", "-c", text]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "OUT") == contents(tmp_path / "whole")
