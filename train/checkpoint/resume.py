"""What a run goes on from: which checkpoint, and whether it is of the same shard set, classes and recipe."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from headrace.shards.errors import UsageError
from headrace.shards.shardset import ShardSet
from headrace.train.checkpoint import files
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.recipe.settled import Settled

OVERRIDES = ("classes", "recipe", "shards")
"""Differences from the checkpoint that a user may accept, each by its name."""


class Found(NamedTuple):
    """The checkpoint to go on from, None for a new run; and a line for each damaged one that was passed over."""

    checkpoint: Checkpoint | None
    warnings: tuple[str, ...] = ()


def find(resume: str | None, out: Path | None) -> Found:
    """The checkpoint that `resume` means: "last" (must exist), "auto" (may), or the path of a file or run folder.

    A damaged newest one is passed over with a warning, but never for a fresh start: that all are damaged is a
    DataError. Raises UsageError when there is none.
    """
    if resume is None:
        return Found(None)
    if resume not in ("last", "auto"):
        path = Path(resume)
        return _newest(path) if path.is_dir() else Found(Checkpoint.of(files.load(path)))
    if out is None:
        raise UsageError("--resume needs --out DIR, the run folder to go on in, or the path of a checkpoint")
    return Found(None) if resume == "auto" and not files.exists(out) else _newest(out)


def _newest(run: Path) -> Found:
    stored, passed_over = files.newest(run)
    return Found(Checkpoint.of(stored), tuple(f"{line}; the one before it is used" for line in passed_over))


def differences(saved: Checkpoint, shards: ShardSet, recipe: Settled, accepted: Collection[str]) -> tuple[str, ...]:
    """The differences from the checkpoint that were accepted, in words. Raises UsageError for one that was not."""
    path = saved.path
    if "classes" not in accepted or len(saved.classes) != len(shards.class_ids):
        refuse_other_classes(saved, shards)
    found = {}
    if saved.classes != shards.class_ids:
        found["classes"] = "other names for its classes"
    if saved.shard_set != shards.digest:
        found["shards"] = (
            f"trained on the shard set with digest {saved.shard_set[:16]}, {shards.root} has {shards.digest[:16]}: "
            "the order of samples changes"
        )
    if changed := _changed(saved.recipe, recipe):
        found["recipe"] = f"the recipe differs: {'; '.join(changed)}"
    for name, text in found.items():
        if name not in accepted:
            raise UsageError(f"{path}: {text}. {_REMEDY[name]}, or accept it by --override {name}")
    _refuse_another_run(path, saved.recipe, recipe)
    return tuple(f"{path}: {text} (accepted by --override {name})" for name, text in found.items())


def _refuse_another_run(path: Path, before: Settled, now: Settled) -> None:
    """Raise UsageError for a difference that leaves the checkpoint's states without a meaning."""
    for key, was, wanted, why in (
        ("train.global_batch", before.train.global_batch, now.train.global_batch, "decides which step it is of"),
        ("model.name", before.model.name, now.model.name, "decides which weights it has"),
        ("optim.name", before.optim.name, now.optim.name, "decides what it has kept of each weight"),
    ):
        if was != wanted:
            raise UsageError(
                f"{path}: {key} was {was}, is {wanted}: it {why}, so it cannot change within a run. "
                "Start a new run with --weights"
            )
    if bool(before.optim.momentum) != bool(now.optim.momentum) and now.optim.name != "adamw":
        raise UsageError(
            f"{path}: optim.momentum was {before.optim.momentum:g}, is {now.optim.momentum:g}: "
            "a run cannot begin or cease to have momentum on its way. Start a new run with --weights"
        )


_REMEDY = {
    "classes": "Give the shard set that it was trained on",
    "shards": "Give the set of that run",
    "recipe": "Resume without --recipe and --set to take the checkpoint's, start a new run with --weights",
}


def _changed(before: Settled, now: Settled) -> list[str]:
    values = now.result()
    return [
        f"{section}.{key} was {old}, is {values[section][key]}"
        for section, keys in before.result().items()
        for key, old in keys.items()
        if old != values[section][key]
    ]


def refuse_other_classes(saved: Checkpoint, shards: ShardSet) -> None:
    """Raise UsageError when the class list of a checkpoint is not the shard set's, in the same order."""
    classes = saved.classes
    if classes == shards.class_ids:
        return
    both = zip(classes, shards.class_ids, strict=False)
    place = next((i for i, (a, b) in enumerate(both) if a != b), min(len(classes), len(shards.class_ids)))
    raise UsageError(
        f"{saved.path}: trained on {len(classes)} classes, {shards.root} has {len(shards.class_ids)}; "
        f"they differ first at label {place}. Give the shard set that it was trained on, or one with the same classes"
    )
