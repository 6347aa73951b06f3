"""Every format in the hands of others: the same pixels give the same logits, and files the same classes."""

import json
import sys
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open

from tests.extras.export.conftest import Reference

LARGEST = 1e-3
pytestmark = pytest.mark.timeout(1200)  # the first test waits for the training


Say = Callable[[str], None]


@pytest.fixture
def say(capfd: pytest.CaptureFixture[str]) -> Say:
    """Prints a line that is seen although the test passes."""

    def tell(line: str) -> None:
        with capfd.disabled():
            sys.stderr.write(f"\n{line}")

    return tell


def gaps(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far the two likeliest classes of each image are apart."""
    two = np.sort(logits, 1)[:, -2:]
    return two[:, 1] - two[:, 0]


@pytest.mark.parametrize("kind", ["timm", "onnx", "torch"])
def test_graph(reference: Reference, kind: str, say: Say) -> None:
    """The same pixels: logits differ by at most a thousandth, classes only at near ties."""
    found = reference.foreign(f"{kind}-graph", kind)["logits"]
    largest = float(np.abs(found - reference.logits).max())
    other = found.argmax(1) != reference.logits.argmax(1)
    say(f"{reference.saved.recipe.model.name} {kind}: logits differ by {largest:.1e}, {other.sum()} others")
    assert len(set(reference.logits.argmax(1).tolist())) > 5
    assert largest <= LARGEST
    assert (gaps(reference.logits)[other] < 2 * largest).all()


@pytest.mark.parametrize("way", ["timm", "transformers", "onnx", "torch"])
def test_whole_way(reference: Reference, way: str, say: Say) -> None:
    """From files: the class is ours for 99 % of the images, and another one only at a near tie."""
    found = reference.foreign(way, "timm" if way == "transformers" else way)
    ours, theirs = reference.logits, found["logits"]
    if way == "transformers":  # it gives log-probabilities
        ours = ours - np.log(np.exp(ours.astype(np.float64)).sum(1, keepdims=True)).astype(np.float32)
    difference = np.abs(theirs - ours).max(1)
    other = theirs.argmax(1) != ours.argmax(1)
    right = [int((logits.argmax(1) == reference.labels).sum()) for logits in (ours, theirs)]
    said = ""
    if "pixels" in found:
        levels = np.abs(found["pixels"].astype(int) - reference.pixels)
        said = f"pixels differ by {levels.mean():.2f} on average, at most {levels.max()}, "
    say(
        f"{reference.saved.recipe.model.name} {way}: {said}logits by {difference.max():.1e}, other classes "
        f"{other.sum()} of {len(other)}, right {right[1]} against {right[0]}; the two likeliest of these are "
        f"{gaps(ours)[other].max(initial=0):.3f} apart"
    )
    assert other.mean() <= 0.01
    assert (gaps(ours)[other] < 2 * difference.max()).all()


def test_names_and_facts(reference: Reference) -> None:
    """Safetensors under our own names, and under timm's, say what they are; config.json has the classes."""
    saved = reference.saved
    for kind in ("safetensors", "timm"):
        with safe_open(reference.exported(kind) / "model.safetensors", "pt") as file:
            metadata = file.metadata()
            names = set(file.keys())
        about = json.loads(metadata["headrace"])
        assert (metadata["format"], about["classes"], about["shard_set"]) == (
            "pt",
            list(saved.classes),
            saved.shard_set,
        )
        assert ("_fc.weight" in names, "classifier.weight" in names) == (kind == "safetensors", kind == "timm")
    config = json.loads((reference.exported("timm") / "config.json").read_text("utf-8"))
    assert config["label_names"] == list(saved.classes)
    assert list(config["label_descriptions"].values()) == list(saved.class_names or ())
