"""A Ray cluster of two hosts on this machine, and a source that takes some seconds."""

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ray.cluster_utils import Cluster

from headrace.prep.images.drawing import draw
from tests.extras.engine_ray.hosts import add_host
from tests.prep.contents import as_folder
from tests.prep.test_commands import run

WORDS = ("--val-fraction", 0.1, "--samples-per-shard", 6)
"""Options of the source: 40 shards."""


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 PNGs of two classes, each of which takes some hundredths of a second to convert."""
    files: dict[str, bytes] = {}
    for label, name in enumerate(("ant", "bee")):
        for number, pixels in enumerate(draw(label, np.arange(12), 3)):
            stream = BytesIO()
            Image.fromarray(pixels).resize((1000, 750), Image.Resampling.BICUBIC).save(stream, "PNG", compress_level=1)
            files |= {f"{name}/{number}-{copy}.png": stream.getvalue() for copy in range(10)}
    return as_folder(files, tmp_path_factory.mktemp("slow") / "in")


@pytest.fixture(scope="session")
def whole(slow: Path) -> Path:
    """The set that the pool makes of it."""
    out = slow.parent / "whole"
    done = run("prep", slow, out, *WORDS, "--workers", 2)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster of two hosts with a CPU each, whose Python finds no Headrace by itself. The first is its head."""
    before = os.environ.pop("PYTHONPATH")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    add_host(cluster)
    os.environ["PYTHONPATH"] = before
    yield cluster
    cluster.shutdown()
