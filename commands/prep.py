"""`headrace prep`: from a data set to a shard set."""

from pathlib import Path
from typing import Any

import click

from headrace.shards.streams import say, say_all


@click.command("prep")
@click.argument("paths", nargs=-1, required=True, metavar="[SOURCE] OUT", type=click.Path(path_type=Path))
@click.option("--demo", is_flag=True, help="Draw a small data set by code (12 classes) instead of reading a SOURCE.")
@click.option("--download", type=click.Choice(["tiny-imagenet"]), help="Fetch this data set beside OUT, as SOURCE.")
@click.option("--seed", default=0, show_default=True, help="Seed of the permutation of samples.")
@click.option("--samples-per-shard", type=int, help="Samples in a shard. Default: as --shard-size says.")
@click.option("--shard-size", default=32, show_default=True, metavar="MB", help="Size of a shard, about, in megabytes.")
@click.option(
    "--workers", "-j", type=click.IntRange(1), help="Worker processes. Default: the CPU cores that prep may use."
)
@click.option("--classes", type=int, metavar="N", help="Only the first N classes.")
@click.option("--per-class", type=int, metavar="N", help="Only the first N images of each class in each split.")
@click.option("--val-fraction", type=float, metavar="F", help="Share of every class for validation, of one tree.")
@click.option(
    "--val", metavar="NAME", help="Take this split of SOURCE for validation, if no split has a usual name for it."
)
@click.option("--max-side", type=int, metavar="PIXELS", help="Make images smaller whose longer side is above this.")
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
    help="Classes, in their order, of another shard set or of a file with one a line (and its name behind a tab).",
)
@click.option("--follow-links", is_flag=True, help="Read what symbolic links in SOURCE, a folder or listing, lead to.")
@click.option(
    "--if-exists",
    type=click.Choice(["reuse", "error", "rebuild"]),
    default="reuse",
    show_default=True,
    help="When OUT exists: use it if source and options are the same, refuse, or make it again and swap it.",
)
@click.option("--part", metavar="I/N", help="Make a share of the shards: parts 1 to N, then once without --part.")
@click.option("--plan-only", is_flag=True, help="Make the plan that all parts read, and no shard.")
@click.option(
    "--on-bad",
    type=click.Choice(["error", "skip"]),
    default="error",
    show_default=True,
    help="An image that does not decode ends the run, or is left out and listed in report.jsonl.",
)
@click.option(
    "--max-bad",
    metavar="N|P%",
    help="Images that --on-bad skip may leave out, as a number or a share. Default: 10, or 1% if that is more.",
)
@click.option(
    "--on-empty-class",
    type=click.Choice(["error", "drop", "keep"]),
    default="error",
    show_default=True,
    help="A class all of whose files are refused ends the run, is left out, or keeps its label without a sample.",
)
def prep_command(
    paths: tuple[Path, ...],
    demo: bool,
    download: str | None,
    workers: int | None,
    if_exists: str,
    part: str | None,
    plan_only: bool,
    **options: Any,
) -> None:
    """Convert a data set into a shard set in the folder OUT.

    SOURCE is a folder, zip or tar (read in place) with TinyImageNet in its official layout or with class-per-folder
    trees, a listing (CSV, JSON lines or Parquet: path,label[,split]), or what Hugging Face's datasets writes (images
    with metadata.csv, Parquet files with images). Every image is decoded once; the bytes of JPEGs are kept, other
    formats become JPEGs. What is no sample is counted at the end and named in report.jsonl. The same source and options
    give the same bytes for any number of workers; an interrupted run is continued by the same command. With --part
    several processes, on any hosts that see SOURCE and OUT, make the shards; the command without it publishes the set.
    """
    from headrace.prep.command.options import Options
    from headrace.prep.convert import prep
    from headrace.prep.part import Part, make_plan, prep_part
    from headrace.prep.sources.demo import demo_source
    from headrace.prep.sources.download import OFFERS
    from headrace.prep.sources.download import download as fetch
    from headrace.prep.summary import summary
    from headrace.shards.cores import usable_cores
    from headrace.shards.targets import followed

    if demo and download:
        raise click.UsageError("give --demo or --download, not both")
    if len(paths) != (1 if demo or download else 2):
        want = f"OUT alone with {'--demo' if demo else '--download'}" if demo or download else "SOURCE and OUT"
        raise click.UsageError(f"give {want}; got {len(paths)} paths")
    if (part or plan_only) and (download or if_exists != "reuse" or (part and plan_only)):
        other = "--download" if download else "--plan-only" if part and plan_only else f"--if-exists {if_exists}"
        raise click.UsageError(f"{other} does not go with {'--part' if part else '--plan-only'}")
    chosen, out = Options(**options), paths[-1]
    source = paths[0]
    if demo:
        source = demo_source(out, chosen.seed, say=say, train=chosen.per_class, val=chosen.per_class)
    elif download:
        source = fetch(OFFERS[download], followed(out).parent)
    cores = workers or usable_cores()
    if plan_only:
        make_plan(source, out, chosen, workers=cores, say=say)
    elif part:
        prep_part(source, out, chosen, Part.parse(part), workers=cores, say=say)
    else:
        result = prep(source, out, chosen, workers=cores, if_exists=if_exists, say=say)
        say_all(summary(result, out))
