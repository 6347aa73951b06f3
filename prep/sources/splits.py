"""Finds the splits of a data set by their usual names, and takes a validation part from training images."""

import re
import zlib
from collections.abc import Collection, Iterable

import numpy as np
from numpy.typing import NDArray

from headrace.prep.command.options import Options
from headrace.prep.sources.files import Files
from headrace.prep.sources.source import Listed
from headrace.shards.draws import Stream, hash64
from headrace.shards.errors import UsageError
from headrace.shards.manifest import TRAIN, VALIDATION
from headrace.shards.urls import Location

_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "development"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_LIKE_ONE = re.compile(
    r"(train|val|valid|validat|test|dev|eval|holdout)(ing|ion|uation)?([ _.-]*(set|split|data|images?|imgs|\d+))*"
)


def split_of(name: str, options: Options) -> str:
    """The split that a folder name or a word in a listing means, such as val for Validation; "" if it means none.

    The case of the letters does not matter.
    """
    word = name.strip().lower()
    if options.val is not None and word == options.val.strip().lower():
        return VALIDATION
    return _WORDS.get(word, "")


def split_word(name: str, options: Options) -> str:
    """The first word in a file name that is a usual name of a split, in lower case; train if there is no such word."""
    return next((word for word in re.findall("[a-z]+", name.lower()) if split_of(word, options)), TRAIN)


def refuse_two_validations(where: Location, names: Iterable[str], options: Options) -> None:
    """Raise UsageError if --val names a split for validation although there is already a validation split."""
    if options.val is None:
        return
    asked = options.val.strip().lower()
    own = sorted(name for name in names if split_of(name, options) == VALIDATION and name.strip().lower() != asked)
    if own:
        raise UsageError(f"{where}: --val {options.val}: there already is a validation split ({own[0]}). Omit --val")


def is_like_a_split(name: str) -> bool:
    """Whether the name of a folder is a usual name of a split, or resembles such a name."""
    return bool(_LIKE_ONE.fullmatch(name.strip().lower()))


def fraction_to_take(files: Files, splits: Collection[str], options: Options) -> float:
    """The share of the training images to use for validation.

    The share is 0 if there is a validation split already, or if --val-fraction is 0. Raises UsageError if the source
    has a validation split and --val-fraction is given, or if there is no validation split and no --val-fraction.
    """
    fraction = options.val_fraction
    if "val" in splits:
        if fraction is not None:
            raise UsageError(f"{files.root}: it already has a validation split. Omit --val-fraction")
        return 0.0
    if fraction is None and "test" in splits:
        raise UsageError(
            f"{files.root}: it has training and test images, but no validation split. Give --val-fraction 0.1 to use a "
            "tenth of the training images of every class for validation; the test split is then used only at the end. "
            "Or give --val test to validate on the test images after every epoch; the set records this choice"
        )
    if fraction is None:
        raise UsageError(
            f"{files.root}: it has no validation split. Give --val-fraction 0.1 to use a tenth of every class for "
            "validation, or --val-fraction 0 to make a set without a validation split"
        )
    return fraction


def divided(files: Files, splits: dict[str, Listed], options: Options) -> dict[str, Listed]:
    """The splits, with a validation split made from training images if there is none and --val-fraction is above 0."""
    fraction = fraction_to_take(files, splits, options)
    if not fraction:
        return splits
    chosen = validation_part(splits["train"].labels, fraction, options.seed)
    if not chosen.any():
        raise takes_none(files, fraction)
    train = splits["train"]
    return {
        "train": train.part(~chosen),
        "val": train.part(chosen),
        **{k: v for k, v in splits.items() if k != "train"},
    }


def takes_none(files: Files, fraction: float) -> UsageError:
    """The error for a share so small that no image of any class is taken."""
    return UsageError(f"{files.root}: --val-fraction {fraction} takes no image of any class. Give a larger fraction")


def keys_of(places: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """The keys of the training images with these indices; a key is a hash of seed and index.

    In each class, the images with the smallest keys are used for validation.
    """
    return hash64(seed, Stream.PREP, zlib.crc32(b"--val-fraction"), places)


def quotas(counts: NDArray[np.int64], fraction: float) -> NDArray[np.int64]:
    """The number of validation images in each class; at least one image of each class is left for training."""
    found: NDArray[np.int64] = np.minimum(np.floor(counts * fraction + 0.5).astype(np.int64), counts - 1)
    return found


def validation_part(labels: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.bool_]:
    """A mask of the samples for validation: the same share of every class, rounded, chosen by a hash of (seed, index).

    At least one sample of each class is left for training.
    """
    keys = keys_of(np.arange(len(labels)), seed)
    order = np.lexsort((keys, labels))
    ordered = labels[order]
    rank = np.arange(len(labels)) - np.searchsorted(ordered, ordered, side="left")
    quota = quotas(np.bincount(labels), fraction)
    chosen = np.zeros(len(labels), bool)
    chosen[order] = rank < quota[ordered]
    return chosen
