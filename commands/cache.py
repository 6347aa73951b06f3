"""`headrace cache`: shows, removes and checks the files that Headrace keeps on this machine to save time."""

import click

from headrace.commands.examples import examples
from headrace.shards.counts import counted
from headrace.shards.errors import DataError
from headrace.shards.streams import print_result, say


@click.group("cache", epilog=examples("headrace cache list", "headrace cache clear"))
def cache_command() -> None:
    """Show, remove or check the files that Headrace keeps on this machine to save time.

    Examples are staged tars (fetched from URLs), decoded images, and compiled loops (numba functions). All of these
    files are made or fetched again when needed. Files that a process has open are never removed.
    """


@cache_command.command("list")
def list_command() -> None:
    """List the files that Headrace keeps on this machine, with their sizes, and say whether a process is using them."""
    from headrace.shards.local_copies import list_copies
    from headrace.shards.stage import Stage

    stage = Stage.of()
    found = list_copies(stage)
    lines = [
        f"{one.bytes:>18,} bytes  {one.files:>7,} files  {'in use' if one.used else 'unused'}  {one.what}  {one.where}"
        for one in found
    ]
    total = f"{sum(one.bytes for one in found):>18,} bytes in all; tars are staged in {stage.folder}"
    print_result("\n".join([*lines, total]))


@cache_command.command("clear")
def clear_command() -> None:
    """Remove all files that Headrace keeps on this machine, except those that a process is using."""
    from headrace.shards.local_copies import clear_copies
    from headrace.shards.stage import Stage

    print_result(f"{clear_copies(Stage.of()):,} bytes removed")


@cache_command.command("verify")
def verify_command() -> None:
    """Check the SHA-256 of the tars and indexes that were fetched from URLs (staged), and remove damaged ones.

    The exit code is 3 if a file is damaged.
    """
    from headrace.shards.local_copies import verify_copies
    from headrace.shards.stage import Stage

    stage = Stage.of()
    if damaged := verify_copies(stage, say):
        raise DataError(
            f"{stage.folder}: removed {counted(damaged, 'damaged file')}, listed above. A later run that needs such a "
            "file fetches it again"
        )
    print_result(f"{stage.folder}: all staged tars and indexes are intact")
