"""`headrace prep`: converts a data set into a shard set."""

import shlex
from typing import TYPE_CHECKING, Any

import click

from headrace.commands.choice import choice
from headrace.commands.examples import examples
from headrace.commands.location import LocationType
from headrace.commands.platform import need_linux
from headrace.shards.streams import say, say_all
from headrace.shards.urls import Location, Url

if TYPE_CHECKING:
    from headrace.prep.command.options import Options


@click.command(
    "prep",
    epilog=examples(
        "headrace prep photographs shards/mine --val-fraction 0.2", "headrace prep --demo shards/drawn --per-class 40"
    ),
)
@click.argument("paths", nargs=-1, required=True, metavar="[SOURCE] OUT", type=LocationType())
@click.option("--demo", is_flag=True, help="Draw a small data set by code (12 classes) instead of reading a SOURCE.")
@click.option("--download", type=click.Choice(["tiny-imagenet"]), help="Fetch this data set beside OUT, as SOURCE.")
@click.option("--seed", default=0, show_default=True, help="Seed of the permutation of samples.")
@click.option("--samples-per-shard", type=int, help="Samples in a shard. Default: as --shard-size says.")
@click.option(
    "--shard-size", default=32, show_default=True, metavar="MB", help="Approximate size of a shard in megabytes."
)
@click.option(
    "--workers", "-j", type=click.IntRange(1), help="Worker processes. Default: the number of available CPU cores."
)
@click.option("--classes", type=int, metavar="N", help="Use only the first N classes.")
@click.option("--per-class", type=int, metavar="N", help="Use only the first N images of each class in each split.")
@click.option(
    "--val-fraction",
    type=float,
    metavar="F",
    help="If SOURCE has no validation split, use this share of each class for it.",
)
@click.option(
    "--val", metavar="NAME", help="Use this split of SOURCE for validation, if no split has a usual name for it."
)
@click.option("--max-side", type=int, metavar="PIXELS", help="Shrink images with a longer side than this.")
@click.option(
    "--quality",
    default=95,
    show_default=True,
    help="JPEG quality for images that are converted or resized; source JPEGs are copied.",
)
@click.option(
    "--background",
    default="white",
    show_default=True,
    metavar="COLOUR",
    help="Colour behind transparent pixels: white, black, grey, or a code such as #7f7f7f.",
)
@click.option(
    "--columns",
    help="Columns of a listing: in order, as path,label,- if it has no header, or by header, as path=image,label=kind.",
)
@click.option(
    "--classes-from",
    metavar="SHARDS|FILE",
    help="Take the classes and their order from another shard set, or from a file with one per line (id, tab, name).",
)
@click.option("--follow-links", is_flag=True, help="Follow symbolic links in SOURCE, a folder or listing.")
@choice(
    "--if-exists",
    "reuse|error|rebuild",
    "If OUT exists: keep it if source and options are the same, refuse, or make it again and swap it.",
)
@click.option(
    "--part", metavar="I/N", help="Make only part I of N of the shards; after all parts, run once without it."
)
@click.option(
    "--append", is_flag=True, help="Add the images of SOURCE that OUT does not have yet, as tars after its own."
)
@click.option(
    "--new-classes", is_flag=True, help="With --append: add classes that OUT does not have, at the end of its list."
)
@click.option("--plan-only", is_flag=True, help="Make only the plan that all parts read.")
@choice(
    "--on-bad",
    "error|skip",
    "An image that does not decode ends the run, or is omitted and listed in report.jsonl.",
)
@click.option(
    "--max-bad",
    metavar="N|P%",
    help="The most images that --on-bad skip may omit, as a number or a share. Default: 10, or 1% if that is more.",
)
@choice(
    "--on-empty-class",
    "error|drop|keep",
    "A class without a usable file ends the run, is dropped, or keeps its label without samples.",
)
@choice(
    "--dedupe",
    "none|exact",
    "exact: of files with the same bytes keep one (test before validation before training), report the others.",
)
@choice(
    "--on-conflict",
    "error|drop",
    "With --dedupe exact: equal files in different classes end the run, or are all omitted and listed.",
)
def prep_command(
    paths: tuple[Location, ...],
    demo: bool,
    download: str | None,
    workers: int | None,
    if_exists: str,
    append: bool,
    new_classes: bool,
    part: str | None,
    plan_only: bool,
    **options: Any,
) -> None:
    """Convert a data set into a shard set in the folder OUT, or at the URL OUT.

    SOURCE is a folder, zip or tar (read in place), or the URL of one, with TinyImageNet in its official layout or with
    class-per-folder trees, a listing (CSV, JSON lines or Parquet: path,label[,split]), or what Hugging Face's datasets
    writes (images with metadata.csv, Parquet files with images). Every image is decoded once; the bytes of JPEGs are
    kept, other formats become JPEGs. Files that are not samples are counted at the end and named in report.jsonl. The
    same source and options give the same bytes for any number of workers; the same command continues an interrupted
    run. With --part several processes, on any hosts that see SOURCE and OUT, make the shards; the command without it
    publishes the set. With --append the set OUT gets more images: a path or an image that it has is omitted, known
    classes keep their labels, and readers of the old set can continue.
    """
    need_linux("prep")
    from headrace.prep.command.options import Options
    from headrace.shards.cores import usable_cores

    if demo and download:
        raise click.UsageError("give --demo or --download, not both")
    if len(paths) != (1 if demo or download else 2):
        want = f"only OUT with {'--demo' if demo else '--download'}" if demo or download else "SOURCE and OUT"
        raise click.UsageError(f"give {want}; got {len(paths)} paths")
    if (part or plan_only) and (download or if_exists != "reuse" or (part and plan_only)):
        other = "--download" if download else "--plan-only" if part and plan_only else f"--if-exists {if_exists}"
        raise click.UsageError(f"{other} cannot be combined with {'--part' if part else '--plan-only'}")
    if options["max_bad"] is not None and options["on_bad"] != "skip":
        raise click.UsageError("--max-bad needs --on-bad skip")
    if new_classes and not append:
        raise click.UsageError("--new-classes needs --append")
    others: dict[str, object] = {"--demo": demo, "--download": download, "--part": part, "--plan-only": plan_only}
    others[f"--if-exists {if_exists}"] = if_exists != "reuse"
    wrong = [name for name, given in others.items() if given]
    if append and wrong:
        raise click.UsageError(f"{wrong[0]} cannot be combined with --append")
    chosen, source, out = Options(**options), paths[0], paths[-1]
    if demo or download:
        source = _made_source(out, download, chosen)
    workers = workers or usable_cores()
    if append:
        _append(source, out, chosen, new_classes=new_classes, workers=workers)
    else:
        _make(source, out, chosen, part, plan_only=plan_only, if_exists=if_exists, workers=workers)


def _append(source: Location, out: Location, options: "Options", *, new_classes: bool, workers: int) -> None:
    """Append images to a set."""
    from headrace.prep.anywhere import append
    from headrace.prep.summary import summary

    say_all(summary(append(source, out, options, new_classes=new_classes, workers=workers, say=say), out))


def _made_source(out: Location, download: str | None, options: "Options") -> Location:
    """The source that is downloaded or drawn beside OUT."""
    from headrace.prep.sources.demo import demo_source
    from headrace.prep.sources.download import OFFERS
    from headrace.prep.sources.download import download as fetch
    from headrace.shards.targets import followed

    if isinstance(out, Url):
        raise click.UsageError(
            f"{'--download' if download else '--demo'} puts its SOURCE beside OUT: give a folder as OUT"
        )
    if download:
        return fetch(OFFERS[download], followed(out).parent)
    return demo_source(out, options.seed, say=say, train=options.per_class, val=options.per_class)


def _make(
    source: Location,
    out: Location,
    options: "Options",
    part: str | None,
    *,
    plan_only: bool,
    if_exists: str,
    workers: int,
) -> None:
    """Make a set, a part of it, or its plan, in a folder or at a URL."""
    from headrace.prep.anywhere import make_plan, prep, prep_part
    from headrace.prep.part import Part
    from headrace.prep.summary import summary

    if plan_only:
        make_plan(source, out, options, workers=workers, say=say)
    elif part:
        prep_part(source, out, options, Part.parse(part), workers=workers, say=say)
    else:
        result = prep(source, out, options, workers=workers, if_exists=if_exists, say=say)
        say_all(summary(result, out))
        say(f"next: headrace train {shlex.quote(str(out))}")
