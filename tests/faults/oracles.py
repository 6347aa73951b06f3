"""What other programs read from a source or a set: the standard library and pyarrow, without any code of Headrace."""

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

Files = dict[str, bytes | None]  # path -> content, None where that cannot be read
IMAGE = re.compile(r"(.*/)?[^./][^/]*\.(jpg|jpeg|png|bmp|webp|tif|tiff|ppm|pgm|jp2|gif|avif|heic)", re.IGNORECASE)
_GNU, _BLOCK = b"ustar  \0", 512
_TEXTS = ("wnids.txt", "words.txt", "val/val_annotations.txt")
_NAMES = (slice(0, 100), slice(345, 500))  # name and prefix in a header
_UNREADABLE = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


class Sample(NamedTuple):
    """A sample of a set: its class and its image."""

    label: str
    image: bytes


class Expected(NamedTuple):
    """What shall be in a set: images, the classes that each may have, and what else decides about its digest."""

    files: Files
    labels: dict[str, Collection[str]]
    rest: object = None


def of_images(files: Files | None) -> Expected | None:
    """Of these files those that are images by their names; the class of each is one of its folders."""
    found = {path: data for path, data in (files or {}).items() if IMAGE.fullmatch(path)}
    return None if files is None else Expected(found, {path: path.split("/")[:-1] for path in found})


def of_folder(root: Path) -> Expected | None:
    """The images below a folder."""
    return of_images({str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()})


def of_tinyimagenet(root: Path) -> Expected | None:
    """The images of TinyImageNet in its official layout."""
    found = {str(path.relative_to(root)): path.read_bytes() for path in root.glob("*/**/images/*")}
    texts = [(root / name).read_bytes().decode("utf-8", "replace") for name in _TEXTS]
    labels: dict[str, Collection[str]] = {path: [path.split("/")[1]] for path in found}
    for line in texts[-1].splitlines():
        name, _, rest = line.partition("\t")
        labels[f"val/images/{name}"] = [rest.split("\t")[0].strip()]
    return Expected({path: data for path, data in found.items() if path[:5] != "test/"}, labels, texts)


def of_zip(path: Path) -> Expected | None:
    """What zipfile reads; None where it cannot open the zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [one for one in archive.infolist() if not one.is_dir()]
            return of_images({one.filename: _content(partial(archive.read, one)) for one in members})
    except _UNREADABLE:
        return None


def _content(read: Callable[[], bytes]) -> bytes | None:
    try:
        return read()
    except _UNREADABLE:
        return None


def of_tar(path: Path) -> Expected | None:
    """The images in a tar, also in a compressed one; None where tarfile cannot read it."""
    return of_images(members_of(path))


def members_of(path: Path) -> Files | None:
    """All files in a tar, by the paths at which tar(1) unpacks them; None where tarfile cannot read it."""
    try:
        data = _unpacked(path.read_bytes())
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            files: Files = {}
            for one in archive:
                _take(archive, one, data, files)
            return files
    except _UNREADABLE:
        return None


def _unpacked(data: bytes) -> bytes:
    openers = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ\0": lzma.decompress}
    return next((unpack(data) for start, unpack in openers.items() if data.startswith(start)), data)


def _take(archive: tarfile.TarFile, one: tarfile.TarInfo, data: bytes, files: Files) -> None:
    """Put a member among the files; it replaces an earlier one of its name."""
    name = _as_unpacked(_name(one, data))
    before = files.pop(name, None)
    if one.isdir():
        return
    if one.islnk():
        files[name] = before if _as_unpacked(one.linkname) == name else files.get(_as_unpacked(one.linkname))
    elif one.isreg() or one.type not in tarfile.SUPPORTED_TYPES:
        files[name] = _content(lambda: archive.extractfile(one).read())  # type: ignore[union-attr] # it is a file
    else:
        files[name] = None


def _name(one: tarfile.TarInfo, data: bytes) -> str:
    """The name of a member. Where headers have the old GNU magic there is no prefix, though tarfile joins one."""
    header = data[one.offset_data - _BLOCK : one.offset_data]
    name, prefix = (header[part].split(b"\0")[0].decode("utf-8", "surrogateescape") for part in _NAMES)
    joined = header[257:265] == _GNU and one.name.rstrip("/") == f"{prefix}/{name}".rstrip("/")
    return name if joined else one.name


def _as_unpacked(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in {"", "."})


def of_csv(path: Path) -> Expected | None:
    """The images of a CSV listing; None where it is none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = [{str(key).strip().lower(): cell for key, cell in row.items()} for row in csv.DictReader(stream)]
        return _listed(path.parent, rows)
    except (*_UNREADABLE, csv.Error):
        return None


def of_parquet(path: Path) -> Expected | None:
    """The images of a Parquet listing; None where it is none."""
    try:
        table = pq.ParquetFile(path).read(use_threads=False)
        table = table.rename_columns([name.strip().lower() for name in table.column_names])
        return _listed(path.parent, table.to_pylist())
    except (*_UNREADABLE, pa.ArrowException):
        return None


def _listed(folder: Path, rows: list[dict[str, object]]) -> Expected:
    """The images that rows of path, label and perhaps split name."""
    found = {_cell(row["path"]): (_cell(row["label"]), _cell(row.get("split", "train"))) for row in rows}
    files: Files = {path: _content((folder / path).read_bytes) for path in found}
    return Expected(files, {path: [label] for path, (label, _) in found.items()}, found)


def _cell(value: object) -> str:
    return (value.decode() if isinstance(value, bytes) else str(value)).strip()


def of_set(root: Path) -> dict[str, Sample]:
    """Every sample of a set by its path in the source."""
    manifest = json.loads((root / "shardset.json").read_bytes())
    classes, found = [one["id"] for one in manifest["classes"]], {}
    for split in manifest["splits"]:
        table = pq.ParquetFile(root / split["index"]["name"]).read(use_threads=False)
        tars = [(root / shard["name"]).read_bytes() for shard in split["shards"]]
        for row in table.select(["source", "shard", "offset", "size", "label"]).to_pylist():
            image = tars[row["shard"]][row["offset"] : row["offset"] + row["size"]]
            found[row["source"]] = Sample(classes[row["label"]], image)
    return found


def of_report(root: Path) -> dict[str, set[str]]:
    """What report.jsonl says was done with each file that it names."""
    found: dict[str, set[str]] = {}
    path = root / "report.jsonl"
    for line in path.read_text("ascii").splitlines() if path.exists() else []:
        note = json.loads(line)
        found.setdefault(note["source"], set()).add(note["action"])
    return found


def digest_of(root: Path) -> str:
    """The digest of a set."""
    return str(json.loads((root / "shardset.json").read_bytes())["digest"])
