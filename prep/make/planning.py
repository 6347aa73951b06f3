"""From a source to its plan: what is in it, what is left out, and which shards it becomes."""

from pathlib import Path
from typing import NamedTuple

from headrace.prep.command.counts import counted
from headrace.prep.command.options import Options
from headrace.prep.command.progress import Say
from headrace.prep.make.lost_classes import lost_classes
from headrace.prep.make.plan_writer import write_plan
from headrace.prep.make.planned import Plan
from headrace.prep.make.record import Bad
from headrace.prep.sources import kinds
from headrace.prep.sources.detect import open_source
from headrace.prep.sources.files import REPLACED, SYMBOLIC, Files, Unused
from headrace.prep.sources.source import Source
from headrace.shards.errors import DataError, UsageError


class Planned(NamedTuple):
    """A source that was looked through, and its plan."""

    plan: Plan
    source: Source
    dropped: list[Unused]  # images of classes that are dropped
    before: list[tuple[str, Bad]]  # those of them that do not decode, with their class


def plan_source(
    files: Files, options: Options, folder: Path, workers: int, say: Say, *, by_parts: bool = False
) -> Planned:
    """Look through a source and write its plan into an empty folder.

    Raises DataError or UsageError where it is no data set, or a split has no sample.
    """
    source = open_source(files, options)
    _refuse_lost_images(files, options)
    for remark in source.remarks:
        say(f"{files.root}: {remark}")
    lost = lost_classes(source, options, workers)
    before = [(source.classes[one.label].id, one) for one in lost]
    labels = sorted({one.label for one in lost})
    reasons = {one.path: one.reason for one in lost}
    plan, dropped = write_plan(folder, source, options, reasons, labels, by_parts=by_parts)
    for name, (samples, _) in plan.about["splits"].items():
        if not samples:
            raise UsageError(f"{files.root}: split {name} has no samples")
    return Planned(plan, source, dropped, before)


def _refuse_lost_images(files: Files, options: Options) -> None:
    """Raise DataError where an image is lost, as it is a link, say, unless such are skipped."""
    lost = ((path, reason) for path, reason in files.left_out if reason != REPLACED)
    images = [
        one for one in lost if kinds.has_image_ending(one[0]) and not any(map(kinds.is_hidden, one[0].split("/")))
    ]
    if images and options.on_bad != "skip":
        path, reason = images[0]
        follow = "Give --follow-links to read what they lead to, put" if reason == SYMBOLIC else "Put"
        raise DataError(
            f"{files.root}: {path}: {reason} ({counted(len(images), 'such image')}). {follow} plain files in "
            "their place, as `cp -rL` and `tar -h` do for links, or leave them out with --on-bad skip"
        )
