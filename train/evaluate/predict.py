"""Predicts the classes of a stream of images from any source."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from headrace.shards.encoded import Given, Ready, Unreadable
from headrace.shards.errors import DataError
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.evaluate.logits import logits_of
from headrace.train.evaluate.scores import likeliest
from headrace.train.evaluate.trained import build_network
from headrace.train.input.assembly import Input
from headrace.train.input.augment.views import centre_views
from headrace.train.input.decode.loose import Loose
from headrace.train.input.decode.wanted import Wanted
from headrace.train.input.normalise import Normalise
from headrace.train.input.plans import Plan
from headrace.train.machine.numerics import Numerics
from headrace.train.machine.place import Place
from headrace.train.model.network import Network
from headrace.train.recipe.settled import SettledEvaluate
from headrace.train.record.answers import Answer

_MOST_BYTES = 1 << 30  # largest size of decoded images in work over all threads, but at least one image


@dataclass(frozen=True)
class Predictor:
    """A trained network with the preparation of its images; the results equal those of an evaluation.

    `settings` are the recipe's settings of evaluation; `classes` and `names` are in the order of the labels.
    """

    network: Network
    normalise: Normalise
    numerics: Numerics
    place: Place
    settings: SettledEvaluate
    interpolation: str
    decode: str
    classes: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def of(
        cls, saved: Checkpoint, place: Place, numerics: Numerics, settings: SettledEvaluate, decode: str
    ) -> "Predictor":
        """Return the predictor of a checkpoint, in which class ids replace missing class names.

        Raises DataError if the checkpoint's weights are damaged.
        """
        network = build_network(saved)
        place.accelerator.place(network, numerics.master_dtype)
        network.eval()
        normalise = Normalise(*saved.normalisation, place.accelerator, numerics.master_dtype)
        names = saved.class_names or saved.classes
        interpolation = saved.recipe.augment.interpolation
        return cls(network, normalise, numerics, place, settings, interpolation, decode, saved.classes, names)

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Return the logits (b, classes) of images, uint8 (b, size, size, 3), on the device."""
        with self.numerics.autocast():
            return logits_of(self.network, images, self.normalise, flip=self.settings.flip)

    def predict(self, images: Iterable[Given], top: int) -> Iterator[Answer]:
        """Yield an answer for each image, in order: the `top` most likely labels, or why the image cannot be read.

        An image that prep's check accepts may still fail to decode. Then all images of its batch are predicted one by
        one, and only that image gets no labels.
        """
        given = iter(images)
        while True:
            stream = _Stream(given, self._most_bytes)
            try:
                yield from self._answers(stream, top)
            except DataError:
                for entry in stream.left():
                    yield self._alone(entry, top)
            else:
                return

    @property
    def _most_bytes(self) -> int:
        return _MOST_BYTES // (2 * (self.place.threads + 1))

    def _answers(self, stream: "_Stream", top: int) -> Iterator[Answer]:
        images = Input(
            stream.source, self.settings.batch, self.place, decode=self.decode, interpolation=self.interpolation
        )
        with closing(images), images.feed(stream.plans(self.settings)) as feed:
            for batch in feed:
                found = likeliest(self.logits(batch.images), top)
                rows = iter(zip(found.labels.tolist(), found.probabilities.tolist(), strict=True))
                for entry in stream.done():
                    yield self._unreadable(entry) if isinstance(entry, Unreadable) else self._answer(entry, *next(rows))
        yield from (self._unreadable(one) for one in stream.left() if isinstance(one, Unreadable))

    def _alone(self, entry: Given, top: int) -> Answer:
        if isinstance(entry, Unreadable):
            return self._unreadable(entry)
        try:
            (answer,) = self._answers(_Stream(iter([entry]), self._most_bytes), top)
        except DataError as error:
            return self._unreadable(Unreadable(entry.name, str(error)))
        return answer

    def _answer(self, image: Ready, labels: list[int], chances: list[float]) -> Answer:
        classes, names = ([one[label] for label in labels] for one in (self.classes, self.names))
        return Answer(image.name, tuple(labels), tuple(classes), tuple(names), tuple(chances))

    def _unreadable(self, image: Unreadable) -> Answer:
        return Answer(image.name, (), (), (), (), image.reason)


class _Stream:
    """Divides a stream of images into batches, makes their plans, and keeps the images until they have answers."""

    def __init__(self, given: Iterator[Given], most_bytes: int) -> None:
        self.source = Loose()
        self._given, self._most_bytes = given, most_bytes
        self._begun: deque[_Begun] = deque()
        self._read: list[Given] = []  # images of the batch that is being assembled

    def plans(self, settings: SettledEvaluate) -> Iterator[Plan]:
        """Yield a plan for each batch; a batch has at least one readable image."""
        ids, size = list[int](), 0
        for number, one in enumerate(self._given):
            if not isinstance(one, Ready):
                self._read.append(one)
                continue
            needed = 3 * one.width * one.height
            if ids and (len(ids) == settings.batch or size + needed > self._most_bytes):
                plan = self._begin(number, ids, settings)
                ids, size, self._read = [], 0, [one]
                yield plan
            else:
                self._read.append(one)
            ids.append(self.source.add(one))
            size += needed
        if ids:
            plan = self._begin(0, ids, settings)
            self._read = []
            yield plan

    def _begin(self, number: int, ids: list[int], settings: SettledEvaluate) -> Plan:
        self._begun.append(_Begun(self._read, ids))
        rows = np.array(ids)
        views = centre_views(settings.crop, settings.size, self.source.widths[rows], self.source.heights[rows])
        nothing = np.zeros(len(rows), np.int64)
        return Plan(0, number, nothing, nothing, Wanted(rows, views, settings.size))

    def done(self) -> list[Given]:
        """Remove the first pending batch and release the bytes of its images; return the images."""
        images, ids = self._begun.popleft()
        for one in ids:
            self.source.forget(one)
        return images

    def left(self) -> list[Given]:
        """Return all images that have been read but have no answer yet."""
        return [*chain.from_iterable(one.images for one in self._begun), *self._read]


class _Begun(NamedTuple):
    """A pending batch: all its images, and the ids of the readable images."""

    images: list[Given]
    ids: list[int]
