"""`headrace index`: makes a shard set from existing tars."""

import click

from headrace.commands.examples import examples
from headrace.commands.location import LocationType
from headrace.commands.platform import need_linux
from headrace.shards.streams import say, say_all
from headrace.shards.urls import Location


@click.command("index", epilog=examples("headrace index tars"))
@click.argument("root", metavar="TARS", type=LocationType())
def index_command(root: Location) -> None:
    """Make a shard set from the WebDataset tars in TARS (a folder or a URL) without rewriting the tars.

    The command writes .idx files, Parquet files and a manifest beside the tars. Each sample in a tar needs an image and
    a .cls file, which contains the class of the sample. Unusable samples are omitted and listed in report.jsonl. If the
    folder TARS is already a shard set, its damaged indexes are made again. At a URL, existing files are never replaced.
    """
    need_linux("index")
    from headrace.prep.adopt_url import adopt_at
    from headrace.prep.summary import contents

    say_all(contents(adopt_at(root, say=say), root))
