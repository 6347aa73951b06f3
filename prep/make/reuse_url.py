"""Checks whether the set at a URL is the requested one. Only --append changes a finished set at a URL."""

from contextlib import suppress
from pathlib import Path

from headrace.prep.command.options import Options
from headrace.prep.command.progress import Say
from headrace.prep.make.reuse import check_source, part_by_stamp, refuse_others, stamp_record
from headrace.prep.make.uploads import Uploads
from headrace.prep.sources.files import Files
from headrace.shards import manifest, stamps, store
from headrace.shards.download import File, fetch
from headrace.shards.errors import UsageError
from headrace.shards.manifest import Manifest
from headrace.shards.names import MANIFEST, REPORT, STAMP
from headrace.shards.remote import AbsentError

_MOST_STAMP = 1 << 20  # bytes


def existing_at(
    files: Files, uploads: Uploads, options: Options, folder: Path, *, if_exists: str, say: Say
) -> Manifest | None:
    """Return the manifest of the set; None if there is no set. Raises UsageError if the set may not be reused.

    If the contents of the source must be compared with the set, the set's indexes and report are fetched into `folder`.
    """
    found = published_at(uploads, options, if_exists=if_exists)
    if found is None:
        return None
    known = b""
    with suppress(AbsentError):
        known = uploads.remote.read(STAMP, _MOST_STAMP)
    line = stamp_record(files, files.stamp(), options)
    if part_by_stamp(files, found, options, stamps.parse(known), line) is None:
        say(f"{files.root}: the source has moved or changed since the last prep; comparing contents")
        fetch_indexes(uploads, found, folder)
        check_source(files, uploads.url, found, options, folder)
    return found


def fetch_indexes(uploads: Uploads, found: Manifest, folder: Path) -> None:
    """Fetch the indexes and the report of the set at a URL into a folder."""
    store.make_folder(folder)
    for index in (split.index for split in found.splits):
        fetch(uploads.remote, File(index.name, index.bytes, index.sha256), folder / index.name)
    with suppress(AbsentError), store.writing(folder), (folder / REPORT).open("wb") as stream:
        uploads.remote.download(REPORT, stream)


def published_at(uploads: Uploads, options: Options, *, if_exists: str = "reuse") -> Manifest | None:
    """Return the manifest of the set at a URL, as `existing_at` does, but without a check of the source."""
    url = uploads.url
    try:
        found = manifest.parse(url, uploads.remote.read(MANIFEST, manifest.LIMIT))
    except AbsentError:
        return None
    if found.made is None or found.source.layout == manifest.SUBSET:
        raise UsageError(f"{url}: this set was not made by prep, so prep does not reuse it. Choose another OUT")
    if if_exists == "error":
        raise UsageError(f"{url}: it exists already. Choose another OUT")
    refuse_others(url, found, options)
    return found
