"""`headrace verify`: whether a shard set is sound."""

from pathlib import Path

import click

from headrace.shards.streams import print_result, say


@click.command("verify")
@click.argument("root", metavar="SHARDS", type=click.Path(path_type=Path))
@click.option("--deep", is_flag=True, help="Also decode every image and check its own checksum.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead, with all problems.")
def verify_command(root: Path, deep: bool, as_json: bool) -> None:
    """Check the shard set in the folder SHARDS: sizes, SHA-256, and the index against the tars.

    Each problem is named; the last line has the command that mends them all. The exit code is 3 if there is any.
    """
    from headrace.prep.verify import check, examine

    if not as_json:
        print_result(check(root, deep=deep, say=say))
        return
    found = examine(root, deep=deep)
    print_result(found.as_object())
    found.refuse_problems()
