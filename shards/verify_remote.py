"""Verifies a set at a URL: fetches every file again, a few tars at a time, and checks the files as in a folder."""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from headrace.shards import store
from headrace.shards.download import File, complete
from headrace.shards.manifest import Manifest, ShardInfo, load
from headrace.shards.names import MANIFEST, SOURCE_URL
from headrace.shards.remote import AbsentError, Remote
from headrace.shards.remote_set import read_manifest
from headrace.shards.stage import VERIFY, Stage
from headrace.shards.urls import Location, Url
from headrace.shards.verify import Decode, Report, verify


def manifest_at(where: Location) -> Manifest:
    """The manifest of a set. Raises UsageError if there is no set, DataError if the manifest is damaged."""
    return read_manifest(where)[1] if isinstance(where, Url) else load(where)


def verify_at(where: Location, *, decode: Decode | None, threads: int, progress: Callable[[int], None]) -> Report:
    """Like `verify`, for a folder or a URL. For a URL, the disk of the stage needs room for one tar per thread."""
    if not isinstance(where, Url):
        return verify(where, decode=decode, threads=threads, progress=progress)
    stage, remote = Stage.of(), Remote(where)
    content, manifest = read_manifest(where)
    folder = stage.work_folder(VERIFY)
    with closing(stage.hold(folder)), tempfile.TemporaryDirectory(dir=folder) as name:
        root = Path(name)
        store.write_bytes(root / MANIFEST, content)
        store.write_bytes(root / SOURCE_URL, f"{where}\nfetched just now\n".encode())
        for split in manifest.splits:
            _copy(remote, File(split.index.name, split.index.bytes, split.index.sha256), root)

        @contextmanager
        def fetched(shard: ShardInfo) -> Iterator[None]:
            names = shard.name, Path(shard.name).with_suffix(".idx").name
            _copy(remote, File(shard.name, shard.bytes, shard.sha256), root)
            try:
                with store.writing(root / names[1]), (root / names[1]).open("wb") as stream:
                    remote.download(names[1], stream)
            except AbsentError:
                (root / names[1]).unlink()
            yield
            for one in names:
                (root / one).unlink(missing_ok=True)

        found = verify(root, decode=decode, threads=threads, progress=progress, present=fetched)
    problems = [one.replace(str(root), str(where)) for one in found.problems]
    return replace(found, problems=problems, remedy=found.remedy.replace(str(root), str(where)))


def _copy(remote: Remote, file: File, root: Path) -> None:
    """Fetch the file into the folder `root`; do nothing if the file does not exist at the URL."""
    path = root / file.name
    with suppress(AbsentError), store.writing(path), path.open("w+b") as stream:
        complete(remote, file, stream, hashlib.sha256(), lambda _: None)
        return
    path.unlink(missing_ok=True)
