"""Plans a set: examines the source, chooses the files to omit, and divides the samples into shards."""

from pathlib import Path
from typing import NamedTuple

from headrace.prep.command.options import Options
from headrace.prep.command.progress import Say
from headrace.prep.make.base import Base
from headrace.prep.make.duplicates import NONE, Duplicates, find_duplicates
from headrace.prep.make.known import find_known, remaining
from headrace.prep.make.lost_classes import lost_classes
from headrace.prep.make.plan_writer import write_plan
from headrace.prep.make.planned import Plan
from headrace.prep.make.record import Bad
from headrace.prep.sources import kinds
from headrace.prep.sources.class_order import with_more_classes
from headrace.prep.sources.detect import open_source
from headrace.prep.sources.files import REPLACED, SYMBOLIC, Files, Unused
from headrace.prep.sources.imagefolder import empty_classes
from headrace.prep.sources.source import Source
from headrace.shards.counts import counted
from headrace.shards.errors import DataError, UsageError
from headrace.shards.labels import are_integers


class Planned(NamedTuple):
    """The plan of a set, with the source and the images that the plan omits."""

    plan: Plan
    source: Source
    dropped: list[Unused]  # images of dropped classes, and duplicates
    before: list[tuple[str, Bad]]  # the dropped images that do not decode, each with the id of its class
    base: Base | None = None  # the set to which the samples are appended


def plan_source(
    files: Files,
    options: Options,
    folder: Path,
    workers: int,
    say: Say,
    *,
    by_parts: bool = False,
    base: Base | None = None,
) -> Planned:
    """Examine a source and write its plan to an empty folder.

    With a `base`, to which the samples are appended, the plan has only samples that the base does not have. Raises
    DataError or UsageError if the source is not a data set, or if a split has no samples.
    """
    source = open_source(files, options)
    _refuse_lost_images(files, options)
    for remark in source.remarks:
        say(f"{files.root}: {remark}")
    known = NONE
    if base is not None:
        source = with_more_classes(source, base.manifest.classes, base.where, more=base.new_classes)
        known = find_known(source, base, options, workers)
    duplicates = find_duplicates(source, options, folder, workers, known)
    stay = range(0 if base is None else len(base.manifest.classes))  # labels of the base, whose classes always stay
    duplicates.emptied = {label: count for label, count in duplicates.emptied.items() if label not in stay}
    _refuse_emptied(source, options, duplicates)
    lost = [one for one in lost_classes(source, options, workers, duplicates) if one.label not in stay]
    before = [(source.classes[one.label].id, one) for one in lost]
    labels = {one.label for one in lost} | (duplicates.emptied.keys() if options.on_empty_class == "drop" else set())
    labels |= _never_new(source, stay, duplicates)
    reasons = {one.path: one.reason for one in lost}
    plan, dropped = write_plan(
        folder, source, options, reasons, sorted(labels), duplicates, by_parts=by_parts, base=base
    )
    for name, (samples, _) in plan.about["splits"].items():
        if not samples:
            raise UsageError(
                f"{files.root}: split {name} has no samples. Add images to this split, or raise "
                "--val-fraction if that option makes the split"
            )
    return Planned(plan, source, dropped, before, base)


def _never_new(source: Source, stay: range, gone: Duplicates) -> set[int]:
    """Return the labels of new classes without a new image: the set already has all images of such a class.

    If the ids of the classes are integers, the result is empty.
    """
    new = range(len(stay), len(source.classes))
    if not len(stay) or not new or are_integers(one.id for one in source.classes):
        return set()
    left = remaining(source.chunks(), gone, len(source.classes))
    return {label for label in new if not left[label]}


def _refuse_emptied(source: Source, options: Options, duplicates: Duplicates) -> None:
    """Raise DataError if all training images of a class are duplicates, unless --on-empty-class allows such classes."""
    emptied = duplicates.emptied
    if emptied and (options.on_empty_class == "error" or len(emptied) == len(source.classes)):
        why = {source.classes[label].id: ("are duplicates", count) for label, count in emptied.items()}
        raise empty_classes(source.files, why)


def _refuse_lost_images(files: Files, options: Options) -> None:
    """Raise DataError if an image cannot be read, for example because it is a link, unless such images are skipped."""
    lost = ((path, reason) for path, reason in files.left_out if reason != REPLACED)
    images = [
        one for one in lost if kinds.has_image_ending(one[0]) and not any(map(kinds.is_hidden, one[0].split("/")))
    ]
    if images and options.on_bad != "skip":
        path, reason = images[0]
        follow = "Give --follow-links to read their targets, put" if reason == SYMBOLIC else "Put"
        raise DataError(
            f"{files.root}: {path}: {reason} ({counted(len(images), 'such image')}). {follow} plain files in "
            "their place, as `cp -rL` and `tar -h` do for links, or omit them with --on-bad skip"
        )
