"""`headrace clean`: removes what an abandoned prep left at a URL."""

import click

from headrace.commands.examples import examples
from headrace.commands.location import LocationType
from headrace.shards.counts import counted
from headrace.shards.errors import UsageError
from headrace.shards.streams import print_result
from headrace.shards.urls import Location, Url


@click.command("clean", epilog=examples("headrace clean s3://bucket/set --delete"))
@click.argument("url", metavar="URL", type=LocationType())
@click.option("--delete", is_flag=True, help="Remove the listed files.")
def clean_command(url: Location, delete: bool) -> None:
    """List the files at URL that prep put there and that no manifest names.

    Files younger than a day are omitted, and so are all files of a prep that changed anything there in the last day.
    Files that prep did not put there are never listed or removed.
    """
    from datetime import UTC, datetime

    from headrace.shards.leftovers import find_leftovers, remove
    from headrace.shards.remote import Remote

    if not isinstance(url, Url) or not url.in_bucket:
        raise UsageError(
            f"{url}: a URL of object storage is needed, such as s3://bucket/set; in folders prep cleans up itself"
        )
    remote = Remote(url)
    found = find_leftovers(remote, datetime.now(UTC))
    lines = [f"{one.bytes:>18,} bytes  {one.modified:%Y-%m-%d %H:%M}  {url / one.name}" for one in found.old]
    if delete:
        remove(remote, found.old)
    size = sum(one.bytes for one in found.old)
    lines.append(f"{size:>18,} bytes in {counted(len(found.old), 'file')}{', removed' if delete else ''}")
    if found.busy:
        lines.append(f"{url}: a prep is active there or was within the last day; none of its files are listed")
    elif found.young:
        lines.append(f"{counted(found.young, 'more file')}, younger than a day")
    print_result("\n".join(lines))
