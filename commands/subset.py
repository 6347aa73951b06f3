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
    help="Condition that the samples must meet, such as 'label < 10 and width >= 96'. It may use split, id, class and "
    "the columns of the index.",
)
@click.option(
    "--ids",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A file that lists the samples. Each line has a split and an id, such as: train 17.",
)
@click.option(
    "--drop-empty-classes",
    is_flag=True,
    help="Drop classes that have no sample in OUT, and number the labels of the others without gaps.",
)
def subset_command(
    parent: Location, out: Location, where: str | None, ids: Path | None, drop_empty_classes: bool
) -> None:
    """Copy some samples of the shard set SHARDS into the new set OUT.

    Choose the samples with a condition in SQL (--where) or with a list (--ids). SQL needs DuckDB: `pip install
    "headrace[query]"`. JPEGs are copied unchanged, in the order of the samples' ids. Each JPEG is compared with its
    stored checksum, but not decoded. If OUT is already the subset that the command would make, nothing is done.
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
