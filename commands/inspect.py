"""`headrace inspect`: what is in a shard set."""

from pathlib import Path

import click

from headrace.shards.streams import print_result, say


@click.command("inspect")
@click.argument("root", metavar="SHARDS", type=click.Path(path_type=Path))
@click.option(
    "--sheet", type=click.Path(path_type=Path), metavar="FILE.png", help="Also draw samples with their class names."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def inspect_command(root: Path, sheet: Path | None, as_json: bool) -> None:
    """Say what is in the shard set SHARDS: counts, classes, sizes, equal images within and across splits."""
    from headrace.prep.figures import as_object, report
    from headrace.shards.shardset import ShardSet

    shards = ShardSet.open(root)
    print_result(as_object(shards) if as_json else report(shards))
    if sheet is not None:
        from headrace.prep.sheet import write_sheet

        line = write_sheet(shards, sheet)
        if as_json:
            say(line, error=True)
        else:
            print_result(line)
