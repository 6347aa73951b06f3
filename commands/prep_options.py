"""Defines the options of `headrace prep`, in the order in which its help lists them."""

from collections.abc import Callable
from typing import Any

import click

from headrace.commands.choice import choice

_OPTIONS = (
    click.option("--demo", is_flag=True, help="Generate a small data set of 12 classes instead of reading a SOURCE."),
    click.option(
        "--download",
        type=click.Choice(["tiny-imagenet"]),
        help="Download this data set beside OUT, and use the download as SOURCE.",
    ),
    click.option("--seed", default=0, show_default=True, help="Seed for shuffling the samples."),
    click.option(
        "--samples-per-shard", type=int, help="Number of samples per shard (default: as many as fit into --shard-size)."
    ),
    click.option(
        "--shard-size", default=32, show_default=True, metavar="MB", help="Approximate size of a shard in megabytes."
    ),
    click.option(
        "--workers",
        "-j",
        type=click.IntRange(1),
        help="Number of worker processes. Default: one worker per available CPU core; with --ray-address, two workers "
        "per CPU of the cluster.",
    ),
    click.option(
        "--classes", type=int, metavar="N", help="Use only the first N classes, in the order of their labels."
    ),
    click.option("--per-class", type=int, metavar="N", help="Use only the first N images of each class in each split."),
    click.option(
        "--val-fraction",
        type=float,
        metavar="F",
        help="If SOURCE has no validation split, use this share of the images of each class for "
        "validation, such as 0.2.",
    ),
    click.option(
        "--val",
        metavar="NAME",
        help="Use the split NAME of SOURCE for validation. Needed only if no split of SOURCE has a usual name such as "
        "val.",
    ),
    click.option(
        "--max-side", type=int, metavar="PIXELS", help="Shrink images whose longer side exceeds this number of pixels."
    ),
    click.option(
        "--quality",
        default=95,
        show_default=True,
        help="JPEG quality of images that are converted or resized. All other JPEGs are copied unchanged.",
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
        help="Columns of a listing. Without a header row, name all columns in order, with - for an unused one: "
        "path,label,-. With a header row, give the headers: path=image,label=kind.",
    ),
    click.option(
        "--classes-from",
        metavar="SHARDS|FILE",
        help="Take the classes and their order from another shard set, or from a file with one class per line "
        "(id, tab, name).",
    ),
    click.option(
        "--follow-links",
        is_flag=True,
        help="If SOURCE is a folder or a listing, read the targets of its symbolic links.",
    ),
    choice(
        "--if-exists",
        "reuse|error|rebuild",
        "If OUT exists: keep it if source and options are equal, end with an error, or make it again and replace OUT.",
    ),
    click.option(
        "--part",
        metavar="I/N",
        help="Divide the shards into N parts, and make only part I, such as 1/4. When all parts are made, run once "
        "without --part.",
    ),
    click.option(
        "--append",
        is_flag=True,
        help="Add the images of SOURCE to the existing set OUT, in new tars. Images that OUT already has are omitted.",
    ),
    click.option(
        "--new-classes",
        is_flag=True,
        help="With --append: also add images of classes that OUT does not have. Such classes get the next labels.",
    ),
    click.option(
        "--plan-only",
        is_flag=True,
        help="Write only the plan, which assigns each image to a shard. Commands with --part then make these shards.",
    ),
    choice(
        "--engine",
        "pool|ray",
        "Make the shards in processes of this machine, or as tasks of Ray on one or many hosts.",
    ),
    click.option(
        "--ray-address",
        metavar="HOST:PORT",
        help="With --engine ray: the address of the head of a running Ray cluster. Default: start Ray on this machine.",
    ),
    choice(
        "--on-bad",
        "error|skip",
        "If an image does not decode: end with an error, or omit the image and list it in report.jsonl.",
    ),
    click.option(
        "--max-bad",
        metavar="N|P%",
        help="The most images that --on-bad skip may omit: a number, or a share of all images. Default: 10 or 1%, "
        "whichever is more.",
    ),
    choice(
        "--on-empty-class",
        "error|drop|keep",
        "If a class has no usable file: end with an error, drop the class, or keep its label without samples.",
    ),
    choice(
        "--dedupe",
        "none|exact",
        "exact: keep one of all files with the same bytes (test before validation before training), report the others.",
    ),
    choice(
        "--on-conflict",
        "error|drop",
        "If --dedupe exact finds equal files in different classes: end with an error, or omit and list all of them.",
    ),
)


def prep_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function `command` with the options of `headrace prep` added."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
