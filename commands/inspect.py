"""`headrace inspect`: what is in a shard set."""

from pathlib import Path

import click

from headrace.shards.streams import print_result


@click.command("inspect")
@click.argument("root", metavar="SHARDS", type=click.Path(path_type=Path))
@click.option(
    "--sheet", type=click.Path(path_type=Path), metavar="FILE.png", help="Also draw samples with their class names."
)
def inspect_command(root: Path, sheet: Path | None) -> None:
    """Say what is in the shard set SHARDS: counts, classes, sizes, equal images within and across splits."""
    from headrace.prep.figures import report
    from headrace.shards.shardset import ShardSet

    shards = ShardSet.open(root)
    print_result(report(shards))
    if sheet is not None:
        from headrace.prep.sheet import write_sheet

        print_result(write_sheet(shards, sheet))
