"""What a user may choose about a shard set. Equal options and an equal source give equal bytes."""

import re
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from headrace.shards.errors import UsageError
from headrace.shards.manifest import Scalar
from headrace.shards.prepared import QUALITY, Prepared, colour_of

MEGABYTE = 1_000_000
_BOUND = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(%)|(\d{1,15})")  # a share or a number


@dataclass(frozen=True)
class Options:
    """The choices that decide about bytes, and `max_bad`; the number of workers is not among them."""

    seed: int = 0
    samples_per_shard: int | None = None  # None: as `shard_size` says
    shard_size: int = 32  # megabytes, about; larger where that would give more than plan.MAX_SHARDS
    classes: int | None = None  # None: all
    per_class: int | None = None  # None: all
    follow_links: bool = False  # of folders
    columns: str | None = None  # of a listing: in order, or as path=HEADER,label=HEADER; None: the usual headers
    classes_from: str | Path | None = None  # a shard set, or a file with a class a line, in this order; None: sorted
    val_fraction: float | None = None  # share of every class for validation, where the source has no such split
    val: str | None = None  # what the source calls the split that is taken for validation; None: the usual names
    on_bad: str = "error"
    max_bad: str | int | None = None  # images that --on-bad skip may leave out, "P%" of all; None: see `most_bad`
    on_empty_class: str = "error"  # of a class all of whose files are refused: "drop" or "keep" it
    max_side: int | None = None  # pixels; larger images are made smaller
    quality: int = QUALITY  # of the JPEGs that are made here; those of the source are kept as they are

    background: str = "white"  # seen through transparent pixels

    def __post_init__(self) -> None:
        if self.classes_from is not None:
            object.__setattr__(self, "classes_from", str(Path(self.classes_from).absolute()))
        for name in ("samples_per_shard", "shard_size", "classes", "per_class", "max_side"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name.replace('_', '-')} {value}: at least 1 is needed")
        if self.val_fraction is not None and not 0 <= self.val_fraction < 1:
            raise UsageError(f"--val-fraction {self.val_fraction}: a number from 0 to below 1 is needed")
        if not 1 <= self.quality <= 100:
            raise UsageError(f"--quality {self.quality}: a number from 1 to 100 is needed")
        if not 0 <= self.seed < 1 << 63:
            raise UsageError(f"--seed {self.seed}: a number from 0 to 2**63 - 1 is needed")
        if self.val is not None and self.val.strip().lower() in {"", "train", "training"}:
            raise UsageError(f"--val {self.val}: the name of a split that is not the training split is needed")
        if self.val is not None and self.val_fraction is not None:
            raise UsageError("give --val or --val-fraction, not both")
        self._refuse_other_than("on_bad", "error", "skip")
        self._refuse_other_than("on_empty_class", "error", "drop", "keep")
        self.most_bad(0)
        _ = self.prepared

    def _refuse_other_than(self, name: str, *choices: str) -> None:
        if (value := getattr(self, name)) not in choices:
            raise UsageError(f"--{name.replace('_', '-')} {value}: one of {', '.join(choices)} is needed")

    @cached_property
    def prepared(self) -> Prepared:
        """What is done to images."""
        try:
            return Prepared(self.max_side, self.quality, colour_of(self.background))
        except ValueError as error:
            raise UsageError(f"--background {self.background}: {error}") from error

    def most_bad(self, images: int) -> int:
        """How many of so many images may be left out as bad: 1 % or 10, whichever is more, if nothing is asked for."""
        if self.max_bad is None:
            return max(10, images // 100)
        found = _BOUND.fullmatch(str(self.max_bad).strip())
        if not found or (found[2] and float(found[1]) > 100):
            raise UsageError(f"--max-bad {self.max_bad}: a number of images, or a share such as 5%, is needed")
        return int(images * float(found[1]) / 100) if found[2] else int(found[3])

    def record(self) -> dict[str, Scalar]:
        """The options as the manifest keeps them."""
        return asdict(self)

    def deciding(self) -> dict[str, Scalar]:
        """Those of them that decide what the set is, as `decisive` compares them."""
        return {name: decisive(name, value) for name, value in self.record().items() if name != "max_bad"}


def decisive(name: str, value: Scalar) -> Scalar:
    """What of an option decides: of --classes-from that it is given, as the classes themselves are compared."""
    return value is not None if name == "classes_from" else value
