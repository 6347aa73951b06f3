"""All bytes that a file holds: as they lie there, and unpacked."""

import gzip
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
from PIL import Image

_ZIP, _GZIP, _PARQUET, _PICTURES = b"PK\3\4", b"\x1f\x8b", b"PAR1", (b"\x89PNG", b"\xff\xd8\xff")


def contents(path: Path) -> Iterator[bytes]:
    """The bytes of a file; members of zips, the text of gzip, rows and metadata of Parquet, texts of pictures."""
    data = path.read_bytes()
    yield data
    if data.startswith(_ZIP):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield from map(archive.read, archive.namelist())
    elif data.startswith(_GZIP):
        yield gzip.decompress(data)
    elif data.startswith(_PARQUET):
        table = pq.read_table(io.BytesIO(data))
        yield repr((table.to_pylist(), table.schema.metadata)).encode()
    elif data.startswith(_PICTURES):
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
            yield repr(picture.info).encode()


def found(folder: Path, words: dict[str, str]) -> list[str]:
    """FILE: WORD for each file below a folder that has one of the words, in its bytes or its name."""
    lines = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        parts = [name.encode(), *(contents(path) if path.is_file() and not path.is_symlink() else ())]
        parts += [str(path.readlink()).encode()] if path.is_symlink() else []
        lines += [f"{name}: {what}" for what, word in words.items() if any(word.encode() in part for part in parts)]
    return lines
