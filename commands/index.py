"""`headrace index`: a shard set of tars that are there already."""

from pathlib import Path

import click

from headrace.shards.streams import say, say_all


@click.command("index")
@click.argument("root", metavar="TARS", type=click.Path(path_type=Path))
def index_command(root: Path) -> None:
    """Make a shard set of the WebDataset tars in the folder TARS, without rewriting them.

    Writes .idx, Parquet and manifest beside the tars. Samples need an image and a .cls member; those that cannot be
    used are left out and named in report.jsonl. In a set that is there already, damaged indexes are made again.
    """
    from headrace.prep.adopt import adopt
    from headrace.prep.summary import contents

    say_all(contents(adopt(root, say=say), root))
