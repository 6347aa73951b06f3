"""Two trained checkpoints, their exports, and what Headrace itself says: what all formats are compared with."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from headrace.shards.shardset import ShardSet
from headrace.train.checkpoint import files
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.evaluate.export.export import export
from headrace.train.evaluate.export.graph import Graph
from tests.checkout import ROOT
from tests.extras.command import headrace, real_or_drawn
from tests.train.pictures import evaluated

FOREIGN = Path(__file__).with_name("foreign.py")
REAL = {
    "lite0": ("lite0-cpu", "train.epochs=2"),
    "b0": ("b0-scratch", "train.epochs=4", "evaluate.crop=0.875"),
}
"""How each network is trained on real images: by its recipe, shortly."""
DRAWN = {
    "lite0": ("lite0-cpu", "train.epochs=1", "augment.sizes=[]", "augment.size=64", "evaluate.size=96"),
    "b0": (
        "demo",
        "model.name=efficientnet-b0",
        "model.batch_norm_momentum=0.3",
        "train.epochs=8",
        "train.global_batch=32",
        "train.group=32",
        "augment.size=64",
        "evaluate.size=64",
        "evaluate.crop=0.875",
    ),
}
"""The same on drawn ones."""
COMMON = ("runtime.device=cpu", "runtime.precision=fp32", "runtime.verdict=false")


@dataclass(frozen=True)
class Reference:
    """A checkpoint and what it says of validation images as Headrace decodes them."""

    run: Path
    saved: Checkpoint
    images: Path  # the same as files, by their keys
    labels: NDArray[np.int64]
    pixels: NDArray[np.uint8]  # (n, size, size, 3)
    logits: NDArray[np.float32]  # (n, classes)

    def exported(self, kind: str) -> Path:
        """The folder of a format, made when it is first asked for."""
        out = self.run.parent / f"{self.run.name}-{kind}"
        if not out.exists():
            export(self.run, out, kind, None)
        return out

    def foreign(self, way: str, kind: str) -> dict[str, NDArray[Any]]:
        """What a program without Headrace makes of a format: see foreign.py."""
        out = self.run.parent / f"{self.run.name}-{way}.npz"
        np.save(self.run.parent / "pixels.npy", self.pixels)
        words = [sys.executable, str(FOREIGN), way, str(self.exported(kind)), str(self.images), str(out)]
        env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        env |= {"PYTHONPATH": str(ROOT / "tests/site"), "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(words, env=env, cwd=self.run.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        with np.load(out) as found:
            return dict(found)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory, tiny_set: Path) -> Path:
    """Twenty classes of the real data set where TINY_IMAGENET names it, else drawn ones."""
    return real_or_drawn(tmp_path_factory, tiny_set, classes=20, per_class=250)


@pytest.fixture(scope="session", params=["lite0", "b0"])
def reference(
    request: pytest.FixtureRequest, source: Path, tiny_set: Path, tmp_path_factory: pytest.TempPathFactory
) -> Reference:
    """A short training of each network."""
    recipe, *settings = (DRAWN if source == tiny_set else REAL)[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    given = [word for setting in (*settings, *COMMON) for word in ("--set", setting)]
    headrace("train", source, "--recipe", recipe, "--out", folder / "run", *given)
    saved = Checkpoint.of(files.load(folder / "run"))
    split = ShardSet.open(source)["val"]
    (folder / "images").mkdir()
    for row, key in enumerate(split.keys):
        (folder / "images" / f"{key}.jpg").write_bytes(split[row].jpeg)
    pixels = evaluated(split, size=saved.size, fraction=saved.crop)
    with torch.no_grad():
        logits = torch.cat([Graph(saved)(part) for part in torch.from_numpy(pixels).split(100)]).numpy()
    return Reference(folder / "run", saved, folder / "images", split.labels, pixels, logits)
