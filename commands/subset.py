"""`headrace subset`: copies some samples of a shard set into a new set."""

from pathlib import Path

import click

from headrace.commands.examples import examples
from headrace.commands.location import LocationType
from headrace.shards.streams import say, say_all
from headrace.shards.urls import Location, Url


@click.command(
    "subset",
    epilog=examples(
        "headrace subset shards/drawn shards/tenth --where 'crc32 % 10 = 0'",
        "headrace subset shards/drawn shards/chosen --ids chosen.txt",
    ),
)
@click.argument("parent", metavar="SHARDS", type=LocationType())
@click.argument("out", type=LocationType())
@click.option(
    "--where",
    metavar="SQL",
    help='A condition on the columns of the index and on split, id and class: "label < 10 and width >= 96".',
)
@click.option(
    "--ids",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A file that lists the samples, with a split and an id on each line: train 17.",
)
@click.option("--drop-empty-classes", is_flag=True, help="Drop classes without samples, and renumber the others.")
def subset_command(
    parent: Location, out: Location, where: str | None, ids: Path | None, drop_empty_classes: bool
) -> None:
    """Copy some samples of the shard set SHARDS into the new set OUT.

    Choose the samples with a condition in SQL (which needs DuckDB: `pip install "headrace[query]"`) or with a list.
    JPEGs are copied unchanged, in the order of the samples' ids. The checksum of each JPEG is checked, but no JPEG is
    decoded. If OUT is already the result of the same command, nothing is done.
    """
    from headrace.prep.subset import subset
    from headrace.prep.summary import contents

    if (where is None) == (ids is None):
        raise click.UsageError("give exactly one of --where and --ids")
    if isinstance(out, Url):
        raise click.UsageError(f"{out}: headrace subset writes only to folders. Give a folder as OUT")
    result = subset(parent, out, where=where, ids=ids, drop_empty_classes=drop_empty_classes, say=say)
    ends = (
        "reused: it exists already, made from the same set with the same choice"
        if result.reused
        else "copied without decoding"
    )
    say_all(f"{contents(result.manifest, out)}\n  {ends} ({result.seconds:.2f} s)")
