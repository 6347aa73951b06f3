"""`headrace index` for tars in object storage: fetches and reads each tar once, and uploads indexes and a manifest.

No file at the URL is replaced, because other programs may be reading the files. If the tars are a shard set already,
nothing is changed.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from headrace.prep.adopt import adopt, by_split, say_left_out, write_set
from headrace.prep.command.progress import Say, progress
from headrace.prep.scan import Scan, scan_tar
from headrace.shards import store
from headrace.shards.cores import usable_cores
from headrace.shards.download import File, complete
from headrace.shards.errors import DataError, HeadraceError, UsageError
from headrace.shards.manifest import Manifest
from headrace.shards.names import MANIFEST, WORK
from headrace.shards.remote import Remote
from headrace.shards.remote_set import read_manifest
from headrace.shards.stage import INDEX, Stage
from headrace.shards.urls import Location, Url

_THREADS = 16  # most of their time is spent waiting for storage


def adopt_at(where: Location, *, say: Say) -> Manifest:
    """Index the tars in a folder or at a URL; return the manifest of the set.

    Raises UsageError if there are no tars, or if a file that must be uploaded exists already with other contents.
    Raises DataError for unusable tars.
    """
    if not isinstance(where, Url):
        return adopt(where, say=say)
    if not where.in_bucket:
        raise UsageError(
            f"{where}: a web server cannot be listed or written to. Give a URL of s3://, gs:// or az://, or a folder"
        )
    remote = Remote(where)
    there = {one.name: one.bytes for one in remote.list()}
    if any(name.startswith(f"{WORK}/") for name in there):
        raise UsageError(
            f"{where}: headrace prep is making a set at this URL (its unfinished files are in {WORK}/). Wait until "
            "that command has ended, or give another URL"
        )
    tars = {name: size for name, size in there.items() if name.endswith(".tar") and "/" not in name}
    return _found(where, tars, say) if MANIFEST in there else _adopt(remote, tars, there, say)


def _found(url: Url, tars: Mapping[str, int], say: Say) -> Manifest:
    """Return the manifest of the set at the URL.

    Raises UsageError if the manifest does not name exactly the tars in `tars`, which maps names of tars to their sizes.
    """
    manifest = read_manifest(url)[1]
    named = {shard.name: shard.bytes for split in manifest.splits for shard in split.shards}
    if named != tars:
        other = min({*named.items()} ^ {*tars.items()})[0]
        raise UsageError(
            f"{url}: the manifest does not match the tars at this URL ({other}), and no file at a URL is replaced, "
            "because other programs may be reading it. Copy only the tars to another URL, and index them there"
        )
    say(f"{url}: these tars are a shard set already; nothing was changed")
    return manifest


def _adopt(remote: Remote, tars: Mapping[str, int], there: Mapping[str, int], say: Say) -> Manifest:
    url, stage = remote.url, Stage.of()
    splits, folder = by_split(url, tars), stage.work_folder(INDEX)
    with closing(stage.hold(folder)), tempfile.TemporaryDirectory(dir=folder) as made:
        root = Path(made)
        with _named(root, url):
            scans = _scan_all(remote, tars, root)
            parts = {split: [scans[name] for name in names] for split, names in splits.items()}
            manifest = write_set(root, parts, None, say)
        _upload(remote, root, there)
        now = {one.name: one.bytes for one in remote.list()}
        if changed := sorted(name for name, scan in scans.items() if now.get(name) != scan.bytes):
            raise DataError(
                f"{url / changed[0]}: the tar was changed or removed while it was read. Run the command again when "
                "no other program changes the tars"
            )
        _publish(remote, root / MANIFEST)
    say_left_out(url, scans.values(), say)
    return manifest


@contextmanager
def _named(root: Path, url: Url) -> Iterator[None]:
    """A context in which each DataError names the URL instead of the temporary folder `root`."""
    try:
        yield
    except DataError as error:
        raise DataError(str(error).replace(str(root), str(url))) from error


def _scan_all(remote: Remote, tars: Mapping[str, int], root: Path) -> dict[str, Scan]:
    """Fetch and scan each tar; return the scans by tar name. At most one tar per thread is on the disk at a time."""

    def scan(name: str) -> Scan:
        path = root / name
        _fetch(remote, name, tars[name], path)
        try:
            return scan_tar(path)
        finally:
            path.unlink()

    scans: dict[str, Scan] = {}
    with progress(len(tars), "index", "tars") as tell, ThreadPoolExecutor(usable_cores()) as pool:
        try:
            for found in pool.map(scan, sorted(tars)):
                scans[found.path.name] = found
                tell(len(scans))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return scans


def _fetch(remote: Remote, name: str, size: int, path: Path) -> None:
    with store.writing(path), path.open("wb") as stream:
        complete(remote, File(name, size, ""), stream, hashlib.sha256(), lambda _: None)
        if stream.tell() != size:
            raise DataError(
                f"{remote.url / name}: received {stream.tell():,} bytes, but the storage listed {size:,}. "
                "Run the command again"
            )


def _upload(remote: Remote, root: Path, there: Mapping[str, int]) -> None:
    """Upload all files of the folder `root`, except the manifest, that do not exist at the URL yet.

    `there` maps the names of the files at the URL to their sizes. Raises UsageError if one of the files exists there
    with other contents.
    """
    files = [path for path in sorted(root.iterdir()) if path.name != MANIFEST]
    old, new = ([path for path in files if (path.name in there) is known] for known in (True, False))
    with ThreadPoolExecutor(_THREADS) as pool:
        same = pool.map(lambda path: _is_at(remote, path), old)
        if other := [path for path, equal in zip(old, same, strict=True) if not equal]:
            raise UsageError(
                f"{remote.url / other[0].name}: this file exists already with other contents, and no file at a URL is "
                "replaced, because other programs may be reading it. Remove this file, or copy only the tars to "
                "another URL"
            )
        list(pool.map(lambda path: remote.put(path.name, path), new))


def _is_at(remote: Remote, path: Path) -> bool:
    seen = hashlib.sha256()
    for piece in remote.stream(path.name):
        seen.update(piece)
    with path.open("rb") as stream:
        return seen.digest() == hashlib.file_digest(stream, "sha256").digest()


def _publish(remote: Remote, manifest: Path) -> None:
    if not remote.create(MANIFEST, manifest.read_bytes()):
        raise HeadraceError(
            f"{remote.url / MANIFEST}: another set was published there meanwhile, or the server altered the file. "
            "Copy only the tars to another URL, and index them there"
        )
