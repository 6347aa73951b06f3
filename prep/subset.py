"""`headrace subset`: copies some samples of a shard set into a new set, without decoding images."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headrace.prep.command.progress import Say, progress
from headrace.prep.convert import Result, held, target
from headrace.prep.make.space import refuse_small_disk
from headrace.prep.make.subset.asked import Asked, Ids, digest_of, existing
from headrace.prep.make.subset.condition import matching
from headrace.prep.make.subset.copy import bytes_needed, copy_samples
from headrace.prep.make.subset.listed import listed
from headrace.prep.make.subset.rows import write_index
from headrace.shards import headers, store
from headrace.shards.cores import usable_cores
from headrace.shards.errors import UsageError
from headrace.shards.manifest import NAME, ClassInfo, Manifest
from headrace.shards.names import STAMP
from headrace.shards.shardset import ShardSet
from headrace.shards.targets import refuse_mount_point, refuse_of_others
from headrace.shards.urls import Location


def subset(
    parent: Location, out: Path, *, where: str | None, ids: Path | None, drop_empty_classes: bool, say: Say
) -> Result:
    """Make the shard set `out` from the samples of `parent` that meet the SQL condition `where` or are listed in `ids`.

    Raises UsageError if no sample is selected, or if `out` exists and is not this subset. Errors from reading the
    parent are raised too.
    """
    began = time.monotonic()
    out = target(parent, out)
    shards = ShardSet.open(parent)
    chosen = None if ids is None else listed(shards, ids)
    asked = Asked(shards.manifest, where, None if chosen is None else digest_of(chosen), drop_empty_classes)
    with held(out):
        store.recover(out)
        reused = existing(out, asked)
        if reused is not None:
            return Result(reused, reused=True, seconds=time.monotonic() - began)
        refuse_mount_point(out, "shards")
        if chosen is None:
            chosen = matching(shards, where or "")
        manifest = _make(shards, out, asked, chosen, say)
    return Result(manifest, reused=False, seconds=time.monotonic() - began)


def _make(shards: ShardSet, out: Path, asked: Asked, chosen: Ids, say: Say) -> Manifest:
    """Write the set to a folder beside `out` and publish it; return its manifest."""
    empty = [name for name, ids in chosen.items() if not len(ids)]
    if len(empty) == len(chosen):
        raise UsageError(f"{shards.where}: no sample is selected, but a set needs at least one. Change the selection")
    for name in empty:
        say(f"{out}: split {name} is omitted, because none of its samples is selected")
    chosen = {name: ids for name, ids in chosen.items() if len(ids)}
    with _work(out) as folder:
        classes, number = _classes(shards, chosen, drop=asked.drop_empty_classes)
        _check_space(shards, chosen, out)
        with progress(sum(map(len, chosen.values())), "subset") as report:
            done = 0

            def tell(samples: int) -> None:
                nonlocal done
                done += samples
                report(done)

            splits = []
            for info in (one for one in shards.manifest.splits if one.name in chosen):
                ids = chosen[info.name]
                with closing(shards.split(info.name)) as split:
                    labels = number[split.labels[ids]]
                    made = shards.manifest.options
                    tars = copy_samples(split, ids, labels, made, folder, threads=usable_cores(), tell=tell)
                splits.append(write_index(shards.root, info, ids, labels, tars, folder))
        samples = sum(split.samples for split in splits)
        manifest = Manifest.make(classes, tuple(splits), asked.source(samples), asked.options)
        store.write_bytes(folder / STAMP, asked.stamp(shards.where))
        store.write_bytes(folder / NAME, manifest.render())
        store.publish(folder, out)
    if headers.remembered(shards.manifest):
        headers.remember(manifest)  # because all its images are images of the parent
    return manifest


def _classes(shards: ShardSet, chosen: Ids, *, drop: bool) -> tuple[tuple[ClassInfo, ...], NDArray[np.int64]]:
    """The classes of the new set, and the new label for each label of the parent, int64 (classes of the parent,)."""
    used = np.full(len(shards.class_ids), not drop)
    for name, ids in chosen.items():
        with closing(shards.split(name)) as split:
            used[split.labels[ids]] = True
    classes = tuple(one for one, keep in zip(shards.manifest.classes, used.tolist(), strict=True) if keep)
    return classes, np.cumsum(used) - 1


def _check_space(shards: ShardSet, chosen: Ids, out: Path) -> None:
    """Raise HeadraceError if the disk has too little free space for the set."""
    sizes = []
    for name, ids in chosen.items():
        with closing(shards.split(name)) as split:
            sizes.append(split.file_sizes(ids))
    refuse_small_disk(out, bytes_needed(sizes))


@contextmanager
def _work(out: Path) -> Iterator[Path]:
    """A context with an empty folder beside `out`; the folder is removed at the end if it was not published."""
    folder = store.work_folder(out.with_name(f"{out.name}.subset"))
    with store.writing(folder):
        refuse_of_others(folder)
        store.discard(folder)  # a killed process may have left it
        folder.mkdir()
    try:
        yield folder
    finally:
        with store.writing(folder):
            store.discard(folder)
