"""Describes a requested subset (its parent set and the choice of samples) as the subset's manifest records it.

The recorded options include those of the parent, because the subset's images were made with them.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headrace.shards.errors import UsageError
from headrace.shards.manifest import MAX_TEXT, NAME, SUBSET, Manifest, Scalar, SourceInfo, load
from headrace.shards.shardset import ShardSet
from headrace.shards.stamps import stamp_of
from headrace.shards.urls import Location

Ids = dict[str, NDArray[np.int64]]
"""The ids of chosen samples, int64 (n,), in ascending order, by the name of their split."""


@dataclass(frozen=True)
class Asked:
    """A requested subset: the samples of `parent` that meet the condition `where`, or that a file lists.

    `ids` is the SHA-256 of the listed ids. Either `where` or `ids` is None.
    """

    parent: Manifest
    where: str | None
    ids: str | None
    drop_empty_classes: bool

    def __post_init__(self) -> None:
        if self.where is not None and len(self.where) > MAX_TEXT:
            raise UsageError(
                f"--where: {len(self.where):,} characters, but the limit is {MAX_TEXT:,}. "
                "List the samples in a file, with --ids"
            )

    @property
    def own(self) -> dict[str, Scalar]:
        """The options that determine which samples are chosen."""
        return {
            "subset_of": self.parent.digest,
            "where": self.where,
            "ids": self.ids,
            "drop_empty_classes": self.drop_empty_classes,
        }

    @property
    def options(self) -> dict[str, Scalar]:
        """The options for the manifest: those of the parent set, and those in `own`."""
        return self.parent.options | self.own

    def source(self, samples: int) -> SourceInfo:
        """Return the manifest's entry about the source, for a subset of `samples` samples of the parent."""
        content = json.dumps(self.own, sort_keys=True).encode()
        return SourceInfo(layout=SUBSET, files=samples, fingerprint=hashlib.sha256(content).hexdigest())

    def stamp(self, where: Location) -> bytes:
        """Return the content of `source.stat`: the parent's location, and options for making the subset again."""
        return stamp_of(where.absolute() if isinstance(where, Path) else where, "", self.options)


def digest_of(ids: Ids) -> str:
    """Return a SHA-256 of sample ids, which does not depend on the order in which a file lists the ids."""
    state = hashlib.sha256()
    for name, own in sorted(ids.items()):
        state.update(f"{name} {len(own)}\n".encode())
        state.update(own.astype("<i8").tobytes())
    return state.hexdigest()


def existing(out: Path, asked: Asked) -> Manifest | None:
    """Return the manifest of the set in `out` if it is this subset; None if `out` is missing or empty.

    Raises UsageError if `out` is anything else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not (out / NAME).exists():
        raise UsageError(f"{out}: it exists and is not a shard set (no {NAME} in it). Choose another OUT")
    manifest = load(out)
    if manifest.source.layout != SUBSET:
        raise UsageError(f"{out}: this shard set is not a subset. Choose another OUT")
    if other := _differing(manifest.options, asked.own):
        raise UsageError(f"{out}: it is another subset: {', '.join(other)}. Choose another OUT, or remove this subset")
    return ShardSet.open(out).manifest


def _differing(made: Mapping[str, Scalar], asked: Mapping[str, Scalar]) -> list[str]:
    """Return the differences between an existing subset and the requested one, as phrases."""
    words = {"subset_of": "of the set", "ids": "of ids with SHA-256"}
    return [
        f"{words.get(name, '--' + name.replace('_', '-'))} {made.get(name)} (now {value})"
        for name, value in asked.items()
        if made.get(name) != value
    ]
