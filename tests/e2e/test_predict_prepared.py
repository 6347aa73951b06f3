"""Predict on the checkpoint of a set whose images prep made smaller, compressed more and put on a background."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headrace
from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.shards.shardset import ShardSet
from headrace.train.record.predictions import Predictions
from tests.e2e.commands import SMALL, here
from tests.e2e.commands import headrace as command

CLASSES, SIDE = 6, 40


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of 64 pixels, half of them transparent: noise, which changes by whatever is done to it."""
    chance, root = np.random.default_rng(0), tmp_path_factory.mktemp("large")
    for split, count in (("train", 12), ("val", 6)):
        for label in range(CLASSES):
            folder = root / split / f"c{label}"
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = chance.integers(0, 256, (64, 64, 4), np.uint8)
                pixels[..., label % 3] //= 2 + label
                mode = ("RGBA", "RGB")[number % 2]
                Image.fromarray(pixels[..., : len(mode)]).save(folder / f"{number}.{('png', 'jpg')[number % 2]}")
    return root


def probabilities(run: Path, source: Path, images: Path) -> dict[str, list[float]]:
    """What predict says of each file: the probabilities of the first five labels, by its path in the source."""
    result = here("predict", run, images, "--device=cpu")
    assert result.code == 0, result.stderr
    found: dict[str, list[float]] = {}
    for row in csv.DictReader(io.StringIO(result.stdout)):
        found.setdefault(str(Path(row["file"]).relative_to(source)), []).append(float(row["probability"]))
    return found


@pytest.mark.parametrize("options", [{}, {"max_side": SIDE, "quality": 40, "background": "#801020"}])
def test_as_prep_and_eval(options: dict[str, int | str], source: Path, tmp_path: Path) -> None:
    """Each file of the source has eval's probabilities, from the command, and from load_model as a file and pixels."""
    prep(source, tmp_path / "set", Options(**options), workers=1, if_exists="error", say=print)  # type: ignore[arg-type]
    settings = ("--set=train.global_batch=24", "--set=train.group=24", "--set=model.batch_norm_momentum=1.0")
    assert command("train", tmp_path / "set", "--out", tmp_path / "run", *SMALL, *settings).code == 0
    assert here("eval", tmp_path / "run", tmp_path / "set", "--out", tmp_path / "out", "--device=cpu").code == 0
    measured = Predictions.read(tmp_path / "out/validation.parquet").top_probabilities
    sources = ShardSet.open(tmp_path / "set")["val"].sources
    found = probabilities(tmp_path / "run", source, source / "val")
    assert len(found) == len(sources) == 6 * CLASSES
    np.testing.assert_allclose([found[one] for one in sources], measured, atol=2e-6)
    model = headrace.load_model(tmp_path / "run", device="cpu")
    answers = model.predict([source / one for one in sources])
    np.testing.assert_allclose([one.probabilities for one in answers], measured, atol=2e-6)
    opaque = next(row for row, one in enumerate(sources) if one.endswith(".jpg"))
    with Image.open(source / sources[opaque]) as image:
        (array,) = model.predict(np.asarray(image))
    if options:  # a JPEG that is made smaller is compressed anew, as pixels are
        np.testing.assert_allclose(array.probabilities, measured[opaque], atol=2e-6)
        plain = ShardSet.open(tmp_path / "set")["val"]
        assert max(plain.widths.max(), plain.heights.max()) == SIDE
