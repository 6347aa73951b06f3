"""Sets have the bytes of Headrace 0.1: digests, tars, indexes and fingerprints must never change."""

import base64
import hashlib
import json
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.prep.sources import table
from headrace.shards.names import MANIFEST, STAMP
from tests.prep.contents import Contents, as_folder, as_zip
from tests.tested import is_tested

# 8 x 8 pixels; no encoder has a say in what comes of it.
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoKCgoKBggLDA"
    "sKDAkKCgr/2wBDAQICAgICAgUDAwUKBwYHCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgr/wAARCAAI"
    "AAgDAREAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhBy"
    "JxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKT"
    "lJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAA"
    "AAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRom"
    "JygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExc"
    "bHyMnK0tPU1dbX2Nna4uPk5ebn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwD598Ef8ERvuf8AFH+n/LD/AOtWhmf/2Q=="
)
NAMES = ("a b.jpg", "Zürich.jpg", "a/é.jpg", "a/~.jpg", "b-1.jpg", "b/1.jpg", "ß.jpg", "漢/字.jpg", "Ω.jpg", "z.JPEG")


def picture(number: int) -> bytes:
    """A JPEG with unique bytes: always the same pixels, with a comment."""
    return JPEG[:2] + b"\xff\xfe" + struct.pack(">HI", 6, number) + JPEG[2:]


def tree(prefix: str, first: int = 0) -> Contents:
    """Three classes with ten images each."""
    paths = [f"{prefix}{label}/{name}" for label in ("ant", "bee", "cat") for name in NAMES]
    return {path: picture(first + number) for number, path in enumerate(paths)}


def splits() -> Contents:
    """A training and a validation tree, and files that are not samples."""
    return tree("train/") | tree("val/", 100) | {"train/notes.txt": b"no image", "readme.md": b"nothing"}


def as_tar(files: Contents, path: Path) -> Path:
    """The files in a tar."""
    folder = as_folder(files, path.with_suffix(".files"))
    with tarfile.open(path, "w") as archive:
        archive.add(folder, ".")
    return path


def as_listing(files: Contents, folder: Path) -> Path:
    """A listing of the files in reverse order, with three splits."""
    as_folder(files, folder)
    rows = [f"{path},{path.split('/')[0]},{('train', 'val', 'train', 'test')[k % 4]}" for k, path in enumerate(files)]
    (folder / "list.csv").write_text("\n".join(["path,label,split", *reversed(rows)]) + "\n", encoding="utf-8")
    return folder / "list.csv"


SOURCES: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    "zip": (lambda at: as_zip(splits(), at / "a.zip"), {}),
    "folder": (lambda at: as_folder(splits(), at / "a"), {"seed": 7}),
    "tar": (lambda at: as_tar(splits(), at / "a.tar"), {}),
    "listing": (lambda at: as_listing(tree(""), at / "a"), {}),
    "val-fraction": (lambda at: as_folder(tree(""), at / "a"), {"val_fraction": 0.25}),
    "per-class": (lambda at: as_zip(splits(), at / "a.zip"), {"per_class": 4, "classes": 2}),
}
GOLDEN = {
    "zip": ("c6f25d7a8816f18c", "7eede615bd20fc8f"),
    "folder": ("a66940f6a849758f", "076dfb05ba8da033"),
    "tar": ("c6f25d7a8816f18c", "7eede615bd20fc8f"),
    "listing": ("28b9c1264b2191d1", "029b060efed8faf3"),
    "val-fraction": ("c89323c59a51ba94", "2dba94846211c84d"),
    "per-class": ("af6976cb1fbf1843", "7e59127377b8359f"),
}


def made(source: Path, out: Path, options: dict[str, Any]) -> tuple[str, str]:
    """The digest of the set, and a hash of its files and of the source in its manifest."""
    prep(source, out, Options(samples_per_shard=7, **options), workers=1, if_exists="error", say=lambda _: None)
    state = hashlib.sha256()
    for path in sorted(out.iterdir()):
        if path.name not in {MANIFEST, STAMP}:
            state.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    manifest = json.loads((out / MANIFEST).read_text("utf-8"))
    state.update(json.dumps([manifest["source"], manifest["classes"]], sort_keys=True).encode())
    return manifest["digest"][:16], state.hexdigest()[:16]


@pytest.mark.parametrize("bucket", [3, 1 << 17])
@pytest.mark.parametrize("kind", SOURCES)
def test_sets_are_those_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, bucket: int) -> None:
    """Sets from every kind of source and any number of buckets have the same hashes as before.

    Other versions of pyarrow write other bytes into indexes, at least their own name; the digest does not cover these.
    """
    monkeypatch.setattr(table, "_BUCKET", bucket)
    build, options = SOURCES[kind]
    digest, files = made(build(tmp_path), tmp_path / "out", options)
    assert digest == GOLDEN[kind][0]
    assert files == GOLDEN[kind][1] or not is_tested("pyarrow")
