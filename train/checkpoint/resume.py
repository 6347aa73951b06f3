"""Finds the checkpoint to resume from, and compares its shard set, classes and recipe with those of the run."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from headrace.shards.errors import UsageError
from headrace.shards.shardset import ShardSet
from headrace.shards.urls import Url, is_url
from headrace.train.checkpoint import files, names
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.checkpoint.mirrored import fetch_newest
from headrace.train.recipe.settled import Settled

OVERRIDES = ("classes", "recipe", "shards")
"""The names of the differences between checkpoint and run that a user may accept with --override NAME."""


class Found(NamedTuple):
    """The checkpoint to resume from, or None for a new run, and a line for each damaged checkpoint that was skipped."""

    checkpoint: Checkpoint | None
    warnings: tuple[str, ...] = ()


def find(resume: str | None, out: Path | None) -> Found:
    """Find the checkpoint that `resume` names: "last", "auto", a file, a run folder, or the URL of a mirror.

    "last" means the newest checkpoint in `out`, and "auto" means the same, or a new run if `out` has no checkpoint. If
    the newest checkpoint is damaged, the one before it is used, with a warning. If all checkpoints are damaged, raises
    DataError instead of starting a new run. Raises UsageError if there is no checkpoint.
    """
    if resume is None:
        return Found(None)
    if is_url(resume):
        return _found(fetch_newest(Url(resume), out))
    if resume not in ("last", "auto"):
        path = Path(resume)
        return _newest(path) if path.is_dir() else Found(Checkpoint.of(files.load(path)))
    if out is None:
        raise UsageError(
            "--resume without a path needs --out: add --out DIR with the folder of the run to resume, or give "
            "--resume PATH with the path of a checkpoint"
        )
    return Found(None) if resume == "auto" and not names.exists(out) else _newest(out)


def _newest(run: Path) -> Found:
    return _found(files.newest(run))


def _found(newest: files.Newest) -> Found:
    stored, passed_over = newest
    return Found(Checkpoint.of(stored), tuple(f"{line}; using the checkpoint before it" for line in passed_over))


def differences(saved: Checkpoint, shards: ShardSet, recipe: Settled, accepted: Collection[str]) -> tuple[str, ...]:
    """Return a text for each accepted difference between the checkpoint and the run.

    Raises UsageError for any other difference.
    """
    path = saved.path
    if "classes" not in accepted or len(saved.classes) != len(shards.class_ids):
        refuse_other_classes(saved, shards)
    found = {}
    if saved.classes != shards.class_ids:
        found["classes"] = "the class names differ"
    if saved.shard_set != shards.digest:
        found["shards"] = (
            f"the checkpoint was trained on the shard set with digest {saved.shard_set[:16]}, but {shards.where} has "
            f"the digest {shards.digest[:16]}: the order of samples changes"
        )
    if changed := _changed(saved.recipe, recipe):
        found["recipe"] = f"the recipe differs: {'; '.join(changed)}"
    for name, text in found.items():
        if name not in accepted:
            raise UsageError(f"{path}: {text}. {_REMEDY[name]}, or accept the difference with --override {name}")
    _refuse_another_run(path, saved.recipe, recipe)
    return tuple(f"{path}: {text} (accepted with --override {name})" for name, text in found.items())


def _refuse_another_run(path: Path, before: Settled, now: Settled) -> None:
    """Raise UsageError if the recipes differ in a value that makes the checkpoint's states unusable for the run."""
    for key, was, wanted, why in (
        ("train.global_batch", before.train.global_batch, now.train.global_batch, "decides what a step is"),
        ("model.name", before.model.name, now.model.name, "decides which weights a network has"),
        ("optim.name", before.optim.name, now.optim.name, "decides what is stored for each weight"),
    ):
        if was != wanted:
            raise UsageError(
                f"{path}: {key} was {was}, now {wanted}: {key} {why}, so it cannot change within a run. "
                "Start a new run: omit --resume, and give its initial weights with --weights"
            )
    if bool(before.optim.momentum) != bool(now.optim.momentum) and now.optim.name != "adamw":
        raise UsageError(
            f"{path}: optim.momentum was {before.optim.momentum:g}, now {now.optim.momentum:g}: "
            "momentum cannot be turned on or off within a run. "
            "Start a new run: omit --resume, and give its initial weights with --weights"
        )


_REMEDY = {
    "classes": "Give the shard set that the checkpoint was trained on",
    "shards": "Give the shard set that the checkpoint was trained on",
    "recipe": "Resume without --recipe and --set to use the checkpoint's recipe, or start a new run with --weights "
    "instead of --resume",
}


def _changed(before: Settled, now: Settled) -> list[str]:
    values = now.result()
    return [
        f"{section}.{key} was {old}, now {values[section][key]}"
        for section, keys in before.result().items()
        for key, old in keys.items()
        if old != values[section][key]
    ]


def refuse_other_classes(saved: Checkpoint, shards: ShardSet) -> None:
    """Raise UsageError unless the checkpoint and the shard set have the same classes in the same order."""
    classes = saved.classes
    if classes == shards.class_ids:
        return
    both = zip(classes, shards.class_ids, strict=False)
    place = next((i for i, (a, b) in enumerate(both) if a != b), min(len(classes), len(shards.class_ids)))
    raise UsageError(
        f"{saved.path}: the checkpoint was trained on {len(classes)} classes, but {shards.where} has "
        f"{len(shards.class_ids)}; the first difference is at label {place}. "
        "Give the shard set that the checkpoint was trained on, or one with the same classes"
    )
