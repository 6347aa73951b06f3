"""`headrace clean`: lists and removes files that an abandoned prep left at a URL."""

import click

from headrace.commands.examples import examples
from headrace.commands.location import LocationType
from headrace.shards.counts import counted
from headrace.shards.errors import UsageError
from headrace.shards.streams import print_result
from headrace.shards.urls import Location, Url


@click.command("clean", epilog=examples("headrace clean s3://bucket/set --delete"))
@click.argument("url", metavar="URL", type=LocationType())
@click.option("--delete", is_flag=True, help="Also remove the listed files.")
def clean_command(url: Location, delete: bool) -> None:
    """List the files that abandoned preps left at URL: files that no manifest of a shard set names.

    Files younger than a day are not listed. If any prep was active at URL in the last day, no files are listed. Files
    that prep did not write are never listed or removed.
    """
    from datetime import UTC, datetime

    from headrace.shards.leftovers import find_leftovers, remove
    from headrace.shards.remote import Remote

    if not isinstance(url, Url) or not url.in_bucket:
        raise UsageError(
            f"{url}: expected a URL of object storage, such as s3://bucket/set. A folder needs no `headrace clean`: "
            "the next prep into the folder removes leftovers itself"
        )
    remote = Remote(url)
    found = find_leftovers(remote, datetime.now(UTC))
    lines = [f"{one.bytes:>18,} bytes  {one.modified:%Y-%m-%d %H:%M}  {url / one.name}" for one in found.old]
    if delete:
        remove(remote, found.old)
    size = sum(one.bytes for one in found.old)
    lines.append(f"{size:>18,} bytes in {counted(len(found.old), 'file')}{', removed' if delete else ''}")
    if found.busy:
        lines.append(f"{url}: a prep is or was active there within the last day, so none of its files are listed")
    elif found.young:
        lines.append(f"{counted(found.young, 'more file')} younger than a day, not listed")
    print_result("\n".join(lines))
