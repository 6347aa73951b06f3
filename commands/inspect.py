"""`headrace inspect`: describes a shard set."""

from pathlib import Path

import click

from headrace.commands.examples import examples
from headrace.commands.location import LocationType
from headrace.shards.streams import print_result, say
from headrace.shards.urls import Location


@click.command("inspect", epilog=examples("headrace inspect shards/mine --sheet mine.png"))
@click.argument("root", metavar="SHARDS", type=LocationType())
@click.option(
    "--sheet",
    type=click.Path(path_type=Path),
    metavar="FILE.png",
    help="Also draw samples with their class names, and pairs of equal images, to FILE.png.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the description as one JSON object instead of text.")
def inspect_command(root: Location, sheet: Path | None, as_json: bool) -> None:
    """Describe the shard set SHARDS (a folder or a URL).

    The command prints the number of samples, the balance of classes and the sizes of images. It also prints how well
    shuffling mixes the classes, and counts equal images within each split and across splits.
    """
    from headrace.prep.figures import report
    from headrace.prep.figures_object import as_object
    from headrace.shards.inspection import inspect
    from headrace.shards.shardset import ShardSet
    from headrace.shards.sheet import refuse_name

    if sheet is not None:
        refuse_name(sheet)
    shards = ShardSet.open(root)
    facts = inspect(shards)
    print_result(as_object(shards, facts) if as_json else report(shards, facts))
    if sheet is not None:
        from headrace.prep.sheet import write_sheet

        line = write_sheet(shards, sheet, facts.twins)
        if as_json:
            say(line, error=True)
        else:
            print_result(line)
