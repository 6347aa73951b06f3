"""`headrace.make_shards` and `headrace.verify_shards`: the commands prep and verify, as functions."""

import logging
from typing import Any

from headrace.prep.anywhere import append as append_to
from headrace.prep.anywhere import prep
from headrace.prep.command.options import Options
from headrace.prep.verify import check
from headrace.shards.cores import usable_cores
from headrace.shards.errors import DataError, UsageError
from headrace.shards.shardset import ShardSet
from headrace.shards.urls import Location, location

_log = logging.getLogger("headrace")


def make_shards(
    source: Location | str,
    out: Location | str,
    *,
    workers: int | None = None,
    if_exists: str = "reuse",
    append: bool = False,
    new_classes: bool = False,
    **options: Any,
) -> ShardSet:
    """Convert a data set into a shard set at `out`, a folder or a URL, as `headrace prep` does, and open it.

    `source` is a folder, zip, tar, listing or Parquet file. `options` are the options of the command: seed,
    samples_per_shard, shard_size (megabytes), classes, per_class, follow_links, columns (of a listing), classes_from (a
    shard set or file), val_fraction, val, on_bad ("error" or "skip"), max_bad (a number or "5%"), on_empty_class
    ("error", "drop" or "keep"), dedupe ("none" or "exact"), on_conflict ("error" or "drop"), max_side (pixels),
    quality, background ("white" or "#7f7f7f"). `workers` is the number of processes that make shards; None means one
    for each available core. These processes do not import the calling program, which may therefore be a notebook, or a
    script that does not test `__name__`. Lines of output go to the logger "headrace".

    With `append`, the images of `source` that the set at `out` does not have are appended to the set. With
    `new_classes`, these images may be of classes that the set does not have.

    Raises UsageError for invalid options, and DataError for images that do not decode.
    """
    known = sorted(Options.__dataclass_fields__)
    if wrong := sorted(options.keys() - set(known)):
        others = ", ".join(["workers", "if_exists", "append", "new_classes", *known])
        raise UsageError(f"make_shards: no option {wrong[0]!r}; the options are {others}")
    choices = ("reuse", "error", "rebuild")
    if if_exists not in choices:
        raise UsageError(f"if_exists = {if_exists!r}: expected one of {', '.join(choices)}")
    if workers is not None and workers < 1:
        raise UsageError(f"workers = {workers}: expected at least 1")
    if (append and if_exists != "reuse") or (new_classes and not append):
        raise UsageError(
            "make_shards: append=True requires if_exists='reuse', and new_classes=True requires append=True"
        )
    cores = workers or usable_cores()
    where, chosen = location(out), Options(**options)
    if append:
        append_to(location(source), where, chosen, new_classes=new_classes, workers=cores, say=_log.info)
    else:
        prep(location(source), where, chosen, workers=cores, if_exists=if_exists, say=_log.info)
    return ShardSet.open(where)


def verify_shards(shards: Location | str, *, deep: bool = False) -> None:
    """Check a shard set, as `headrace verify` does: sizes and SHA-256 of its files, and its indexes against the tars.

    With `deep`, each image is decoded too. If there are problems, raises DataError, which names each problem and a
    remedy.
    """
    problems: list[str] = []
    try:
        check(location(shards), deep=deep, say=problems.append)
    except DataError as error:
        raise DataError("\n".join([*problems, str(error)])) from error
