"""A new classifier that begins with what the published one knows: rows of classes that both have.

The classes of many data sets (TinyImageNet's among them) are some of ImageNet's own, named by their WordNet synsets.
Published weights hold a trained row for each of those, which a random new head throws away.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from torch import Tensor

from headrace.shards.errors import UsageError

_NAMES = ("_fc.weight", "_fc.bias")


@cache
def imagenet_synsets() -> tuple[str, ...]:
    """The 1,000 WordNet ids of ILSVRC 2012 in the class order of published weights, which is the sorted one."""
    return tuple(resources.files("headrace.train.model").joinpath("imagenet-synsets.txt").read_text("ascii").split())


@dataclass(frozen=True)
class Matched:
    """Which rows of a new head are which rows of the published one."""

    classes: int
    own: tuple[int, ...]
    published: tuple[int, ...]

    @classmethod
    def of(cls, class_ids: Sequence[str]) -> "Matched":
        """The match by class id; classes that are not ImageNet's have no row in it."""
        row = {synset: number for number, synset in enumerate(imagenet_synsets())}
        own = tuple(number for number, name in enumerate(class_ids) if name in row)
        return cls(len(class_ids), own, tuple(row[class_ids[number]] for number in own))

    def fill(self, drawn: dict[str, Tensor], published: dict[str, Tensor], name: str) -> dict[str, Tensor]:
        """A head like `drawn` with the matched rows of `published`; both map _fc.weight, _fc.bias to tensors.

        Raises UsageError, calling the file `name`, when it has no classifier of the 1,000 classes.
        """
        rows = len(published["_fc.bias"]) if all(key in published for key in _NAMES) else 0
        if rows != len(imagenet_synsets()):
            raise UsageError(
                f"model.head = matched: {name} has {rows:,} rows in its classifier, not the 1,000 of ImageNet; "
                "set model.head=new"
            )
        head = {key: drawn[key].clone() for key in _NAMES}
        for key, value in head.items():
            value[list(self.own)] = published[key][list(self.published)].to(value.dtype)
        return head

    def sentence(self) -> str:
        """What the head consists of."""
        return f"head of {self.classes} classes, {len(self.own)} of them as published"
