from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from headrace.shards.encoded import Given, Ready, Unreadable
from headrace.shards.shardset import ShardSet
from headrace.train.evaluate.predict import Predictor
from headrace.train.input.normalise import Normalise
from headrace.train.machine.numerics import Numerics
from headrace.train.machine.place import Place
from headrace.train.machine.world import World
from headrace.train.model.normalisation import normalisation_of
from headrace.train.recipe.settled import SettledEvaluate
from tests.train.networks import narrow
from tests.train.pictures import CPU

NAMES = tuple(f"c{label}" for label in range(12))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """Return a narrow network that predicts four images at a time."""
    network = narrow().eval()
    normalise = Normalise(*normalisation_of("efficientnet-b0"), CPU)
    settings = SettledEvaluate(size=32, batch=4)
    return Predictor(network, normalise, Numerics(), Place(World(), CPU, 2), settings, "bilinear", "auto", NAMES, NAMES)


@pytest.fixture(scope="module")
def images(tiny_set: Path) -> list[Ready]:
    """Return validation images that are ready to decode."""
    split = ShardSet.open(tiny_set)["val"]
    return [Ready(split.keys[row], split[row].jpeg, 64, 64) for row in range(30)]


def test_order_is_kept(predictor: Predictor, images: list[Ready]) -> None:
    """Images and errors keep their order for any batches, and an image always has the same answer."""
    alone = {one.name: next(predictor.predict([one], 3)) for one in images}
    for count in (0, 1, 3, 4, 5, 9, 30):
        given: list[Given] = []
        for number, one in enumerate(images[:count]):
            given += [one, *[Unreadable(f"bad {number}", "why")] * (number % 3)]
        answers = list(predictor.predict([Unreadable("first", "why"), *given, Unreadable("last", "why")], 3))
        assert [one.file for one in answers] == ["first", *(one.name for one in given), "last"]
        for answer in answers:
            if answer.file in alone:
                assert answer.labels == alone[answer.file].labels
                assert answer.probabilities == pytest.approx(alone[answer.file].probabilities, abs=1e-5)
            else:
                assert (answer.error, answer.labels) == ("why", ())


def test_image_that_does_not_decode_costs_itself_alone(predictor: Predictor, images: list[Ready]) -> None:
    """Bytes that look sound but do not decode become an error in their place, also in several batches."""
    bad = {5, 6, 17}
    given = [one._replace(data=b"\xff\xd8 no image") if row in bad else one for row, one in enumerate(images)]
    sound = [one.labels for one in predictor.predict(images, 2)]
    answers = list(predictor.predict(given, 2))
    assert [one.file for one in answers] == [one.name for one in images]
    assert {row for row, one in enumerate(answers) if one.error} == bad
    assert all(one.labels == sound[row] for row, one in enumerate(answers) if row not in bad)


def test_images_are_taken_as_they_are_needed(predictor: Predictor, images: list[Ready]) -> None:
    """An endless stream is answered from its beginning, and released when the consumer stops."""
    taken = 0

    def endless() -> Iterator[Given]:
        nonlocal taken
        while True:
            taken += 1
            yield images[taken % 30]

    answers = predictor.predict(endless(), 1)
    assert [next(answers).file for _ in range(50)] == [images[number % 30].name for number in range(1, 51)]
    answers.close()  # type: ignore[attr-defined]
    assert taken < 150


def test_large_images_come_few_at_a_time(
    predictor: Predictor, images: list[Ready], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoded images of a batch stay within a bound; an image above the bound forms its own batch."""
    seen: list[int] = []
    logits = Predictor.logits

    def counted(self: Predictor, pixels: torch.Tensor) -> torch.Tensor:
        seen.append(len(pixels))
        return logits(self, pixels)

    monkeypatch.setattr(Predictor, "logits", counted)
    monkeypatch.setattr("headrace.train.evaluate.predict._MOST_BYTES", 6 * 2 * 3 * 64 * 64)
    assert len(list(predictor.predict(images[:7], 1))) == 7
    assert seen == [2, 2, 2, 1]
    monkeypatch.setattr("headrace.train.evaluate.predict._MOST_BYTES", 1)
    assert len(list(predictor.predict(images[:3], 1))) == 3
    assert seen[4:] == [1, 1, 1]
    assert np.isfinite(seen).all()
