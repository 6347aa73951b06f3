"""`headrace.make_shards` and `headrace.verify_shards`: the commands prep and verify, as functions."""

import logging
from pathlib import Path
from typing import Any

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.prep.verify import check
from headrace.shards.cores import usable_cores
from headrace.shards.errors import DataError, UsageError
from headrace.shards.shardset import ShardSet

_log = logging.getLogger("headrace")


def make_shards(
    source: Path | str, out: Path | str, *, workers: int | None = None, if_exists: str = "reuse", **options: Any
) -> ShardSet:
    """Convert a data set into a shard set in the folder `out`, as `headrace prep` does, and open it.

    `source` is a folder, zip, tar, listing or Parquet file; `options` are those of the command: seed,
    samples_per_shard, shard_size (megabytes), classes, per_class, follow_links, columns (of a listing), classes_from
    (a shard set or file), val_fraction, val, on_bad ("error" or "skip"), max_bad (a number or "5%"), on_empty_class
    ("error", "drop" or "keep"), max_side (pixels), quality, background ("white" or "#7f7f7f"). Workers are processes
    that need nothing of the calling program, which may be a script without a main guard or a notebook; None is one
    for each core that may be used. Lines go to the logger "headrace".

    Raises UsageError for options, DataError for images that do not decode.
    """
    known = sorted(Options.__dataclass_fields__)
    if wrong := sorted(options.keys() - set(known)):
        raise UsageError(f"make_shards: no option {wrong[0]!r}; there are: workers, if_exists, {', '.join(known)}")
    choices = ("reuse", "error", "rebuild")
    if if_exists not in choices:
        raise UsageError(f"if_exists = {if_exists!r}: expected one of {', '.join(choices)}")
    if workers is not None and workers < 1:
        raise UsageError(f"workers = {workers}: expected at least 1")
    cores = workers or usable_cores()
    prep(Path(source), Path(out), Options(**options), workers=cores, if_exists=if_exists, say=_log.info)
    return ShardSet.open(Path(out))


def verify_shards(shards: Path | str, *, deep: bool = False) -> None:
    """Check a shard set, as `headrace verify` does: sizes, SHA-256, the index against the tars.

    With `deep` each image is decoded too. Raises DataError that names each problem and what mends them all.
    """
    problems: list[str] = []
    try:
        check(Path(shards), deep=deep, say=problems.append)
    except DataError as error:
        raise DataError("\n".join([*problems, str(error)])) from error
