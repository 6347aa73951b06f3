"""Defines the options that determine a shard set: equal options and an equal source give equal bytes."""

import re
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from headrace.shards.errors import UsageError
from headrace.shards.home import without_home
from headrace.shards.manifest import Scalar
from headrace.shards.prepared import QUALITY, Prepared, colour_of
from headrace.shards.urls import Location, location

MEGABYTE = 1_000_000
_BOUND = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(%)|(\d{1,15})")  # a share or a number


@dataclass(frozen=True)
class Options:
    """The options that determine the bytes of a set; only the option `max_bad` has no effect on the bytes.

    The number of workers is not an option here, because it does not change the bytes.
    """

    seed: int = 0
    samples_per_shard: int | None = None  # None: `shard_size` decides
    shard_size: int = 32  # approximate megabytes; increased if there would be more shards than plan.MAX_SHARDS
    classes: int | None = None  # None: all
    per_class: int | None = None  # None: all
    follow_links: bool = False  # whether to read the targets of symbolic links in folders
    columns: str | None = None  # of a listing: in order, or as path=HEADER,label=HEADER; None: the usual headers
    classes_from: str | Location | None = None  # a set, or a file with one class per line, in order; None: sorted
    val_fraction: float | None = None  # share of every class for validation, if the source has no such split
    val: str | None = None  # the source's name for the validation split; None: the usual names
    on_bad: str = "error"
    max_bad: str | int | None = None  # most images that --on-bad skip may omit, or "P%" of all; None: see `most_bad`
    on_empty_class: str = "error"  # for a class without usable files: "error", "drop" or "keep"
    dedupe: str = "none"  # "exact": keep one of several files with the same bytes
    on_conflict: str = "error"  # for equal files in different classes: "drop" omits all of them
    max_side: int | None = None  # pixels; larger images are shrunk
    quality: int = QUALITY  # of images that are converted or resized; source JPEGs are copied unchanged

    background: str = "white"  # seen through transparent pixels

    def __post_init__(self) -> None:
        if self.classes_from is not None:
            object.__setattr__(self, "classes_from", _absolute(location(self.classes_from)))
        for name in ("samples_per_shard", "shard_size", "classes", "per_class", "max_side"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name.replace('_', '-')} {value}: at least 1 is needed")
        if self.val_fraction is not None and not 0 <= self.val_fraction < 1:
            raise UsageError(f"--val-fraction {self.val_fraction}: a number that is at least 0 and below 1 is needed")
        if not 1 <= self.quality <= 100:
            raise UsageError(f"--quality {self.quality}: a number from 1 to 100 is needed")
        if not 0 <= self.seed < 1 << 63:
            raise UsageError(f"--seed {self.seed}: a number from 0 to 2**63 - 1 is needed")
        if self.val is not None and self.val.strip().lower() in {"", "train", "training"}:
            raise UsageError(f"--val {self.val}: the name of a split other than the training split is needed")
        if self.val is not None and self.val_fraction is not None:
            raise UsageError("give --val or --val-fraction, not both")
        self._refuse_other_than("on_bad", "error", "skip")
        self._refuse_other_than("on_empty_class", "error", "drop", "keep")
        self._refuse_other_than("dedupe", "none", "exact")
        self._refuse_other_than("on_conflict", "error", "drop")
        if self.on_conflict == "drop" and self.dedupe == "none":
            raise UsageError("--on-conflict drop needs --dedupe exact, which finds equal files")
        self.most_bad(0)
        _ = self.prepared

    def _refuse_other_than(self, name: str, *choices: str) -> None:
        if (value := getattr(self, name)) not in choices:
            raise UsageError(f"--{name.replace('_', '-')} {value}: one of {', '.join(choices)} is needed")

    @cached_property
    def prepared(self) -> Prepared:
        """The options that determine how images are shrunk and converted: --max-side, --quality and --background."""
        try:
            return Prepared(self.max_side, self.quality, colour_of(self.background))
        except ValueError as error:
            raise UsageError(f"--background {self.background}: {error}") from error

    def most_bad(self, images: int) -> int:
        """Return how many of `images` images may be omitted because they do not decode.

        The default is 10 or 1 %, whichever is more.
        """
        if self.max_bad is None:
            return max(10, images // 100)
        found = _BOUND.fullmatch(str(self.max_bad).strip())
        if not found or (found[2] and float(found[1]) > 100):
            raise UsageError(f"--max-bad {self.max_bad}: a number of images, or a share such as 5%, is needed")
        return int(images * float(found[1]) / 100) if found[2] else int(found[3])

    def record(self) -> dict[str, Scalar]:
        """Return the options for the manifest; `dedupe` and `on_conflict` are omitted if `dedupe` is "none".

        In paths, the home folder is written as "~", because the set may be given to other people.
        """
        late = {"dedupe", "on_conflict"} if self.dedupe == "none" else set()
        found = {name: value for name, value in self.values().items() if name not in late}
        named = found["classes_from"]
        return found | {"classes_from": without_home(named) if isinstance(named, str) else named}

    def values(self) -> dict[str, Scalar]:
        """All options."""
        return asdict(self)

    def deciding(self) -> dict[str, Scalar]:
        """The options that determine the bytes of the set, by name, with the values that `decisive` returns."""
        return {name: decisive(name, value) for name, value in self.values().items() if name != "max_bad"}


def _absolute(where: Location) -> str:
    """Return a location as the manifest records it: the absolute path, or the URL.

    Raises UsageError for a URL with a query (?...).
    """
    if isinstance(where, Path):
        return str(where.absolute())
    if where.parts.query:
        raise UsageError(
            f"--classes-from {where}: the set records this URL, so it must not have a query. Omit the part after ?"
        )
    return str(where)


def decisive(name: str, value: Scalar) -> Scalar:
    """Return an option's value in the form that is compared when prep decides whether an existing set is reused.

    For --classes-from, return only whether the option was given, because the classes themselves are compared
    separately.
    """
    return value is not None if name == "classes_from" else value
