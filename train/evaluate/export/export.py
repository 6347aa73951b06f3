"""Runs `headrace export`: writes a network for other programs, and compares it with the checkpoint's network."""

import json
import os
from pathlib import Path

from headrace.shards import store
from headrace.shards.errors import HeadraceError, UsageError
from headrace.shards.home import with_home
from headrace.shards.lock import locked
from headrace.shards.manifest import VALIDATION
from headrace.shards.shardset import ShardSet
from headrace.shards.targets import followed, refuse_mount_point
from headrace.shards.urls import Location
from headrace.train.checkpoint import files
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.evaluate.export.card import card
from headrace.train.evaluate.export.check import compare
from headrace.train.evaluate.export.facts import Facts
from headrace.train.evaluate.export.graph import Graph
from headrace.train.evaluate.export.writers import WRITERS, logits_by

CARD = "MODEL_CARD.md"


def export(path: Path, out: Path, kind: str, check: Location | None) -> list[str]:
    """Write the network of a checkpoint into the new folder `out`; return lines to print for the user.

    `check` gives the images for the comparison: a shard set, in a folder or at a URL, or a folder of images. By default
    the images come from the shard set that the run was trained on, if that set still exists. Raises UsageError if `out`
    exists, if the extra `export` is missing or if there is no checkpoint. Raises HeadraceError, and leaves no folder,
    if the written network's logits differ from the checkpoint's.
    """
    out = followed(out)
    if os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out}: the path exists already. Give the name of a new folder")
    refuse_mount_point(out, "model")
    saved = Checkpoint.of(files.load(path))
    facts, graph = Facts.of(saved), Graph(saved)
    trained_on = _trained_on(saved)
    with locked(out):
        work = store.work_folder(out)
        try:
            store.discard(work)
            work.mkdir(parents=True)
            written = WRITERS[kind](graph, facts, work)
            checked = compare(logits_by(graph), written, facts, check or (trained_on.where if trained_on else None))
            page = card(facts, kind, accuracy(saved, trained_on), checked.sentence(), flip=saved.recipe.evaluate.flip)
            store.write_bytes(work / CARD, page.encode())
            names = sorted(one.name for one in work.iterdir())
            store.publish(work, out)
        except OSError as error:
            raise store.storage_error(error, out) from error
        finally:
            store.discard(work)
    flip = ["the recipe's evaluation averages mirror images; the exported network does not"]
    return [
        f"{out}: {', '.join(names)}",
        checked.sentence(),
        *(flip if saved.recipe.evaluate.flip else []),
    ]


def _trained_on(saved: Checkpoint) -> ShardSet | None:
    """Return the shard set that the run's environment.json names; None if the set is missing or has changed."""
    real = saved.path.resolve()
    for folder in (real.parent, real.parent.parent):
        try:
            named = json.loads((folder / "environment.json").read_text("utf-8"))["shards"]
            shards = ShardSet.open(with_home(named))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, HeadraceError):
            continue
        if shards.digest == saved.shard_set:
            return shards
    return None


def accuracy(saved: Checkpoint, trained_on: ShardSet | None) -> str:
    """Return a sentence about the accuracy that the run measured, with the number of images if `trained_on` is set."""
    progress = saved.progress
    if progress.best_accuracy < 0:
        return "not measured."
    counts = {split.name: split.samples for split in trained_on.manifest.splits} if trained_on else {}
    among = f" of {counts[VALIDATION]:,} validation images" if VALIDATION in counts else " of the validation images"
    best = f"{progress.best_accuracy:.2f}%{among} in epoch {progress.best_epoch}, measured during training"
    if progress.best_epoch == progress.epochs_done and not progress.epoch_sums.seen:
        return f"{best}."
    return f"not measured for these weights; the run's best was {best}."
