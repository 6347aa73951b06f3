"""`headrace verify`: checks a shard set."""

import click

from headrace.commands.examples import examples
from headrace.commands.location import LocationType
from headrace.shards.streams import print_result, say
from headrace.shards.urls import Location


@click.command("verify", epilog=examples("headrace verify shards/mine --deep"))
@click.argument("root", metavar="SHARDS", type=LocationType())
@click.option("--deep", is_flag=True, help="Also check the checksum of every image, and decode every image.")
@click.option("--json", "as_json", is_flag=True, help="Print all problems as one JSON object instead of lines of text.")
def verify_command(root: Location, deep: bool, as_json: bool) -> None:
    """Check the files of the shard set SHARDS (a folder or a URL) for damage.

    The size and SHA-256 of each file are compared with the recorded values, and the indexes with the tars. Each problem
    is listed, and the last line gives the command that repairs them all. The exit code is 3 if there is any problem.
    """
    from headrace.prep.verify import check, examine

    if not as_json:
        print_result(check(root, deep=deep, say=say))
        return
    found = examine(root, deep=deep)
    print_result(found.as_object())
    found.refuse_problems()
