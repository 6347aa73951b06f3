"""`headrace prep`: converts a data set into a shard set."""

import shlex
from typing import TYPE_CHECKING, Any

import click

from headrace.commands.examples import examples
from headrace.commands.location import LocationType
from headrace.commands.platform import need_linux
from headrace.commands.prep_engine import chosen_engine, refuse_engine
from headrace.commands.prep_options import prep_options
from headrace.shards.counts import counted
from headrace.shards.streams import say, say_all
from headrace.shards.urls import Location, Url

if TYPE_CHECKING:
    from headrace.prep.command.options import Options
    from headrace.prep.make.engines.engine import Engine


@click.command(
    "prep",
    epilog=examples(
        "headrace prep photographs shards/mine --val-fraction 0.2", "headrace prep --demo shards/drawn --per-class 40"
    ),
)
@click.argument("paths", nargs=-1, required=True, metavar="[SOURCE] OUT", type=LocationType())
@prep_options
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
    engine: str,
    ray_address: str | None,
    **options: Any,
) -> None:
    """Convert a data set of images into a shard set at OUT, a folder or a URL.

    SOURCE (a path or a URL) is a folder, zip or tar that contains one folder for each class. TinyImageNet in its
    official layout is accepted too. SOURCE may also be a listing: a CSV, JSON lines or Parquet file with the columns
    path,label[,split]. Or SOURCE may have the format of Hugging Face's datasets: images with metadata.csv, or Parquet
    files that contain the images. Zips and tars need not be unpacked.

    Every image is decoded once, to find damaged images. JPEGs that training can decode are copied unchanged (unless
    --max-side shrinks them); other images are converted to JPEG. Files that do not become samples are counted in the
    summary and listed in report.jsonl. The same source and options give shards with the same bytes, for any number of
    workers. To continue an interrupted prep, give the same command again.

    With --part, several commands, on any hosts that share SOURCE and OUT, each make a part of the shards. Then the
    command without --part completes the set. With --engine ray, the hosts of a Ray cluster make the shards. If a host
    dies, only the unfinished shards of this host are lost, and other hosts make these shards. With --append, the images
    of SOURCE are added to the existing set OUT. Files are omitted if OUT already has a file with the same path or an
    equal image. The classes of OUT keep their labels, and programs that are reading OUT, such as training runs, are not
    disturbed.
    """
    need_linux("prep")
    from headrace.prep.command.options import Options
    from headrace.shards.cores import usable_cores

    if demo and download:
        raise click.UsageError("give --demo or --download, not both")
    if len(paths) != (1 if demo or download else 2):
        want = f"only OUT with {'--demo' if demo else '--download'}" if demo or download else "SOURCE and OUT"
        raise click.UsageError(f"give {want}; got {counted(len(paths), 'path')}")
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
    refuse_engine(engine, ray_address, out, {"--part": part, "--plan-only": plan_only})
    if demo or download:
        source = _made_source(out, download, chosen)
    if engine == "ray" and not isinstance(source, Url):
        source = source.absolute()  # other hosts have other current folders
    with chosen_engine(engine, ray_address, source, workers) as made_by:
        shared: dict[str, Any] = {"workers": workers or usable_cores(), "engine": made_by}
        if append:
            _append(source, out, chosen, new_classes=new_classes, **shared)
        else:
            _make(source, out, chosen, part, plan_only=plan_only, if_exists=if_exists, **shared)


def _append(
    source: Location, out: Location, options: "Options", *, new_classes: bool, workers: int, engine: "Engine"
) -> None:
    """Append the images of `source` to the set at `out`, and print a summary."""
    from headrace.prep.anywhere import append
    from headrace.prep.summary import summary

    result = append(source, out, options, new_classes=new_classes, workers=workers, say=say, engine=engine)
    say_all(summary(result, out))


def _made_source(out: Location, download: str | None, options: "Options") -> Location:
    """Download the source, or generate the demo's source, beside OUT; return the path of the source."""
    from headrace.prep.sources.demo import demo_source
    from headrace.prep.sources.download import OFFERS
    from headrace.prep.sources.download import download as fetch
    from headrace.shards.targets import followed

    if isinstance(out, Url):
        raise click.UsageError(
            f"{'--download' if download else '--demo'} stores its images beside OUT, on this machine, so OUT must be a "
            "folder, not a URL"
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
    engine: "Engine",
) -> None:
    """Make a set in the folder or at the URL `out`, or only a part of its shards (`part`) or its plan (`plan_only`)."""
    from headrace.prep.anywhere import make_plan, prep, prep_part
    from headrace.prep.part import Part
    from headrace.prep.summary import summary

    if plan_only:
        make_plan(source, out, options, workers=workers, say=say)
    elif part:
        prep_part(source, out, options, Part.parse(part), workers=workers, say=say)
    else:
        result = prep(source, out, options, workers=workers, if_exists=if_exists, say=say, engine=engine)
        say_all(summary(result, out))
        say(f"next: headrace train {shlex.quote(str(out))}")
