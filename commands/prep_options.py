"""The options of `headrace prep`, in the order of its help."""

from collections.abc import Callable
from typing import Any

import click

from headrace.commands.choice import choice

_OPTIONS = (
    click.option(
        "--demo", is_flag=True, help="Draw a small data set by code (12 classes) instead of reading a SOURCE."
    ),
    click.option("--download", type=click.Choice(["tiny-imagenet"]), help="Fetch this data set beside OUT, as SOURCE."),
    click.option("--seed", default=0, show_default=True, help="Seed of the permutation of samples."),
    click.option("--samples-per-shard", type=int, help="Samples in a shard. Default: as --shard-size says."),
    click.option(
        "--shard-size", default=32, show_default=True, metavar="MB", help="Approximate size of a shard in megabytes."
    ),
    click.option(
        "--workers",
        "-j",
        type=click.IntRange(1),
        help="Worker processes. Default: the number of available CPU cores; with --ray-address two for "
        "each CPU of the cluster.",
    ),
    click.option("--classes", type=int, metavar="N", help="Use only the first N classes."),
    click.option("--per-class", type=int, metavar="N", help="Use only the first N images of each class in each split."),
    click.option(
        "--val-fraction",
        type=float,
        metavar="F",
        help="If SOURCE has no validation split, use this share of each class for it.",
    ),
    click.option(
        "--val", metavar="NAME", help="Use this split of SOURCE for validation, if no split has a usual name for it."
    ),
    click.option("--max-side", type=int, metavar="PIXELS", help="Shrink images with a longer side than this."),
    click.option(
        "--quality",
        default=95,
        show_default=True,
        help="JPEG quality for images that are converted or resized; source JPEGs are copied.",
    ),
    click.option(
        "--background",
        default="white",
        show_default=True,
        metavar="COLOUR",
        help="Colour behind transparent pixels: white, black, grey, or a code such as #7f7f7f.",
    ),
    click.option(
        "--columns",
        help="Columns of a listing: in order, as path,label,- if it has no header, or by header, as "
        "path=image,label=kind.",
    ),
    click.option(
        "--classes-from",
        metavar="SHARDS|FILE",
        help="Take the classes and their order from another shard set, or from a file with one per line "
        "(id, tab, name).",
    ),
    click.option("--follow-links", is_flag=True, help="Follow symbolic links in SOURCE, a folder or listing."),
    choice(
        "--if-exists",
        "reuse|error|rebuild",
        "If OUT exists: keep it if source and options are the same, refuse, or make it again and swap it.",
    ),
    click.option(
        "--part", metavar="I/N", help="Make only part I of N of the shards; after all parts, run once without it."
    ),
    click.option(
        "--append", is_flag=True, help="Add the images of SOURCE that OUT does not have yet, as tars after its own."
    ),
    click.option(
        "--new-classes", is_flag=True, help="With --append: add classes that OUT does not have, at the end of its list."
    ),
    click.option("--plan-only", is_flag=True, help="Make only the plan that all parts read."),
    choice(
        "--engine",
        "pool|ray",
        "Make the shards in processes of this machine, or as tasks of Ray on one or many hosts.",
    ),
    click.option(
        "--ray-address",
        metavar="HOST:PORT",
        help="With --engine ray: the head of a running Ray cluster. Default: Ray is started on this machine.",
    ),
    choice(
        "--on-bad",
        "error|skip",
        "An image that does not decode ends the run, or is omitted and listed in report.jsonl.",
    ),
    click.option(
        "--max-bad",
        metavar="N|P%",
        help="The most images that --on-bad skip may omit, as a number or a share. Default: 10, or 1% if that is more.",
    ),
    choice(
        "--on-empty-class",
        "error|drop|keep",
        "A class without a usable file ends the run, is dropped, or keeps its label without samples.",
    ),
    choice(
        "--dedupe",
        "none|exact",
        "exact: of files with the same bytes keep one (test before validation before training), report the others.",
    ),
    choice(
        "--on-conflict",
        "error|drop",
        "With --dedupe exact: equal files in different classes end the run, or are all omitted and listed.",
    ),
)


def prep_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
