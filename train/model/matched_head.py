"""Builds a classifier that starts with rows of the published classifier, for the classes that both classifiers have.

The classes of many data sets, such as TinyImageNet, are ImageNet classes named by their WordNet synsets. Published
weights hold a trained row for each ImageNet class, which a new random classifier would discard.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from torch import Tensor

from headrace.shards.errors import UsageError


@cache
def imagenet_synsets() -> tuple[str, ...]:
    """Return the 1,000 WordNet ids of ILSVRC 2012 in sorted order, which is the class order of published weights."""
    return tuple(resources.files("headrace.train.model").joinpath("imagenet-synsets.txt").read_text("ascii").split())


@dataclass(frozen=True)
class Matched:
    """The rows to copy from the published classifier to a new one: row published[i] becomes row own[i]."""

    classes: int
    own: tuple[int, ...]
    published: tuple[int, ...]

    @classmethod
    def of(cls, class_ids: Sequence[str]) -> "Matched":
        """Return the rows to copy for a data set with the classes `class_ids`.

        A class outside ImageNet has no row in the published classifier.
        """
        row = {synset: number for number, synset in enumerate(imagenet_synsets())}
        own = tuple(number for number, name in enumerate(class_ids) if name in row)
        return cls(len(class_ids), own, tuple(row[class_ids[number]] for number in own))

    def fill(self, drawn: dict[str, Tensor], published: dict[str, Tensor], name: str) -> dict[str, Tensor]:
        """Return a classifier like `drawn`, with the matched rows of `published`.

        `drawn`, `published` and the result map names to tensors.

        Raises UsageError, with the file's `name`, if the file has no classifier for ImageNet's 1,000 classes.
        """
        rows = {len(published[key]) if key in published and published[key].ndim else 0 for key in drawn}
        if rows != {len(imagenet_synsets())}:
            raise UsageError(
                f"model.head = matched: the classifier in {name} has {min(rows, default=0):,} rows instead of the "
                "1,000 of ImageNet. Set model.head=new"
            )
        head = {key: value.clone() for key, value in drawn.items()}
        for key, value in head.items():
            value[list(self.own)] = published[key][list(self.published)].to(value.dtype)
        return head

    def sentence(self) -> str:
        """Return a sentence that says how many classes the head has, and how many of them have published weights."""
        return f"head of {self.classes} classes, {len(self.own)} of them with published weights"
