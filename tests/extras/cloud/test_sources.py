"""Prep from a URL: a set has the digest that it has of the same files in a folder, and few requests are made.

The commands of docs/storage.md are run here.
"""

import csv
import io
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from headrace.prep.sources.listed_files import States
from headrace.prep.sources.listing_rows import Item
from headrace.shards.errors import DataError
from headrace.shards.manifest import load
from headrace.shards.urls import Url
from tests.e2e.commands import Ended, headrace, refused
from tests.extras.cloud.asked import BUCKET, SECRET
from tests.extras.cloud.faulty import Faulty
from tests.extras.cloud.s3 import S3
from tests.extras.cloud.test_reading import files_with

CUT = ("--samples-per-shard", "9", "--workers", "1")
CLASSES = ("cat", "dog", "emu")


@pytest.fixture(autouse=True)
def environment(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell would set it."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 images, in folders of splits and classes, and a file that is none."""
    root = tmp_path_factory.mktemp("tree") / "tree"
    for number in range(36):
        folder = root / ("val" if number % 4 == 0 else "train") / CLASSES[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (number * 7, 90, 200 - number)).save(folder / f"an image {number}.jpg")
    (root / "notes").write_text("of no use")
    return root


@pytest.fixture(scope="module")
def listing(tree: Path) -> list[tuple[str, str, str]]:
    """Path, class and split of each."""
    paths = sorted(path.relative_to(tree) for path in tree.rglob("*.jpg"))
    return [(str(path), path.parts[1], path.parts[0]) for path in paths]


def digest(source: Path | str, out: Path, *words: str) -> str:
    """Of the set that is made of a source."""
    ended = headrace("prep", source, out, *CUT, *words)
    assert ended.code == 0, ended.stderr
    assert SECRET not in ended.stdout + ended.stderr
    return load(out).digest


def upload(s3: S3, prefix: str, tree: Path) -> str:
    """All files of a tree, with an object that stands for a folder, as consoles make them."""
    for path in tree.rglob("*"):
        if path.is_file():
            s3.client().upload_file(str(path), BUCKET, f"{prefix}/{path.relative_to(tree)}")
    s3.client().put_object(Bucket=BUCKET, Key=f"{prefix}/train/", Body=b"")
    s3.count.clear()
    return f"s3://{BUCKET}/{prefix}"


def put(s3: S3, key: str, data: bytes) -> str:
    """One object."""
    s3.client().put_object(Bucket=BUCKET, Key=key, Body=data)
    s3.count.clear()
    return f"s3://{BUCKET}/{key}"


def table_of(rows: Sequence[tuple[str, ...]], header: str) -> bytes:
    """A CSV."""
    text = io.StringIO()
    csv.writer(text).writerows([header.split(","), *rows])
    return text.getvalue().encode()


def test_folder(tree: Path, s3: S3, tmp_path: Path) -> None:
    """One listing for each look at all files, and one request an image; set and source may both be at URLs."""
    url = upload(s3, "folder", tree)
    assert digest(url, tmp_path / "remote") == digest(tree, tmp_path / "local")
    methods = [one.method for one in s3.count.requests]
    assert methods.count("HEAD") == 0
    assert methods.count("GET") <= 36 + 1 + 5  # the images, the file that is none, listings
    assert (tmp_path / "remote" / "report.jsonl").read_bytes() == (tmp_path / "local" / "report.jsonl").read_bytes()
    assert "reused" in headrace("prep", url, tmp_path / "remote", *CUT).stdout
    assert headrace("prep", url, f"s3://{BUCKET}/folder-set", *CUT).code == 0
    assert load(tmp_path / "local").digest in headrace("inspect", f"s3://{BUCKET}/folder-set").stdout
    s3.client().delete_object(Bucket=BUCKET, Key="folder/train/cat/an image 3.jpg")
    ended = headrace("prep", url, tmp_path / "remote", *CUT)
    assert (ended.code, "its source changed: 1 removed" in ended.stderr) == (2, True)
    assert files_with(SECRET, tmp_path) == []


def test_zip(tree: Path, s3: S3, tmp_path: Path, faulty: Faulty) -> None:
    """By ranges: its directory, then a request an image; the whole is never fetched. From a web server too."""
    path = tmp_path / "tree.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for one in sorted(tree.rglob("*.*")):
            packed.write(one, one.relative_to(tree))
    expected = digest(path, tmp_path / "local")
    assert digest(put(s3, "a tree.zip", path.read_bytes()), tmp_path / "remote") == expected
    assert all(one.range for one in s3.count.requests if one.method == "GET")
    assert len(s3.count.requests) <= 36 + 12
    faulty.folder = tmp_path
    signed = f"{faulty.url.removesuffix('/set')}/tree.zip?sig=SIGNEDsecret"
    assert digest(signed, tmp_path / "web") == expected
    assert files_with("SIGNEDsecret", tmp_path / "web") == []
    faulty.ranges = False
    ended = headrace("prep", signed, tmp_path / "none", *CUT)
    refused(ended, 1, "tree.zip: the server does not support this request")
    assert "SIGNED" not in ended.stderr


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
def test_tar(kind: str, tree: Path, s3: S3, tmp_path: Path, faulty: Faulty) -> None:
    """By one request, which goes on where it was cut; the copy is gone afterwards."""
    path = tmp_path / f"tree.{kind}"
    with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w:") as packed:
        packed.add(tree, ".")
    expected = digest(path, tmp_path / "local")
    assert digest(put(s3, path.name, path.read_bytes()), tmp_path / "remote") == expected
    assert sum(1 for one in s3.count.requests if one.method == "GET" and not one.range) == 1
    faulty.folder, faulty.faults = tmp_path, {path.name: [503, 503, "", "cut"]}
    assert digest(f"{faulty.url.removesuffix('/set')}/{path.name}", tmp_path / "web") == expected
    assert sorted(one.name for one in tmp_path.iterdir() if one.name not in {path.name, "stage"}) == [
        "local",
        "remote",
        "web",
    ]


def local_digest(tree: Path, listing: list[tuple[str, str, str]], tmp_path: Path) -> str:
    """Of the set by a listing on the disk whose paths are as they are in the tree."""
    (tree / "list.csv").write_bytes(table_of(listing, "path,label,split"))
    try:
        return digest(tree / "list.csv", tmp_path / "local")
    finally:
        (tree / "list.csv").unlink()


def test_listing_at_a_url(tree: Path, listing: list[tuple[str, str, str]], s3: S3, tmp_path: Path) -> None:
    """Its paths begin in its folder; one listing of that has all sizes."""
    expected = local_digest(tree, listing, tmp_path)
    upload(s3, "listed", tree)
    url = put(s3, "listed/list.csv", table_of(listing, "path,label,split"))
    assert digest(url, tmp_path / "remote") == expected
    images = [one for one in s3.count.requests if one.path.endswith(".jpg")]
    assert {one.method for one in images} == {"GET"}
    assert len(images) == 36
    put(s3, "listed/gone.csv", table_of([*listing, ("train/gone.jpg", "cat", "train")], "path,label,split"))
    refused(headrace("prep", f"s3://{BUCKET}/listed/gone.csv", tmp_path / "gone"), 3, "train/gone.jpg: no such file")
    put(s3, "listed/out.csv", table_of([*listing, ("../out.jpg", "cat", "train")], "path,label,split"))
    refused(headrace("prep", f"s3://{BUCKET}/listed/out.csv", tmp_path / "gone"), 3, "leads out")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_listing_of_urls(kind: str, tree: Path, listing: list[tuple[str, str, str]], s3: S3, tmp_path: Path) -> None:
    """On the disk, of files at URLs and of some on the disk, in two buckets of which each is listed once."""
    s3.client().create_bucket(Bucket=f"other-{kind}")
    rows = []
    for number, (path, label, split) in enumerate(listing):
        bucket = (BUCKET, f"other-{kind}", "")[number % 3]
        if bucket:
            s3.client().upload_file(str(tree / path), bucket, f"deep/{kind}/{path}")
        rows.append((f"s3://{bucket}/deep/{kind}/{path}" if bucket else str(tree / path), label, split))
    s3.count.clear()
    out, root = tmp_path / "remote", tmp_path / f"list.{kind}"
    if kind == "csv":
        root.write_bytes(table_of(rows, "path,label,split"))
    else:
        columns = dict(zip(("path", "label", "split"), map(list, zip(*rows, strict=True)), strict=True))
        pq.write_table(pa.table(columns), root)
    digest(root, out)
    asked = [one for one in s3.count.requests if one.path.endswith(".jpg")]
    assert ({one.method for one in asked}, len(asked)) == ({"GET"}, 24)
    assert headrace("verify", "--deep", out).code == 0
    assert "36" in headrace("inspect", out).stdout


def refused_listing(rows: Sequence[tuple[str, ...]], header: str, tmp_path: Path) -> Ended:
    """What prep says of a listing on the disk."""
    (tmp_path / "list.csv").write_bytes(table_of(rows, header))
    return headrace("prep", tmp_path / "list.csv", tmp_path / "none", *CUT)


def test_listing_of_a_web_server(
    tree: Path, listing: list[tuple[str, str, str]], tmp_path: Path, faulty: Faulty
) -> None:
    """It needs sizes, and a signed path is refused: the set would tell it to everybody."""
    faulty.folder = tmp_path / "flat"
    faulty.folder.mkdir()
    server, rows = faulty.url.removesuffix("/set"), []
    for number, (path, label, split) in enumerate(listing):
        data = (tree / path).read_bytes()
        (faulty.folder / f"{number}.jpg").write_bytes(data)
        rows.append((f"{server}/{number}.jpg", label, split, str(len(data))))
    (tmp_path / "list.csv").write_bytes(table_of(rows, "path,label,split,size"))
    digest(tmp_path / "list.csv", tmp_path / "web")
    assert headrace("verify", "--deep", tmp_path / "web").code == 0
    without = [row[:3] for row in rows]
    refused(refused_listing(without, "path,label,split", tmp_path), 3, "add a column `bytes`")
    signed = [(f"{rows[0][0]}?sig=SIGNEDsecret", *rows[0][1:]), *rows[1:]]
    ended = refused_listing(signed, "path,label,split,size", tmp_path)
    refused(ended, 3, "a URL with a query or fragment")
    assert "SIGNEDsecret" not in ended.stderr
    rows[0] = (*rows[0][:3], "17")
    refused(refused_listing(rows, "path,label,split,size", tmp_path), 3, "size is not the expected 17 bytes")


def test_parquet_files_with_images(tree: Path, listing: list[tuple[str, str, str]], s3: S3, tmp_path: Path) -> None:
    """A folder of them, by ranges."""
    for split in ("train", "val"):
        own = [(path, label) for path, label, one in listing if one == split]
        images = [{"bytes": (tree / path).read_bytes(), "path": path} for path, _ in own]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        columns = {"image": pa.array(images, kind), "label": [label for _, label in own]}
        (tmp_path / "files").mkdir(exist_ok=True)
        pq.write_table(pa.table(columns), tmp_path / "files" / f"{split}-00000-of-00001.parquet")
    url = upload(s3, "parquet", tmp_path / "files")
    assert digest(url, tmp_path / "remote") == digest(tmp_path / "files", tmp_path / "local")


def test_what_is_not_there(s3: S3, tmp_path: Path) -> None:
    """One line each."""
    assert s3.environment
    for name in ("none", "none.zip", "none.csv", "none.parquet"):
        refused(
            headrace("prep", f"s3://{BUCKET}/{name}", tmp_path / "none"), 2, f"s3://{BUCKET}/{name}", "no such file"
        )


def test_unusable_url_of_another_row_is_not_blamed_on_this_one(s3: S3) -> None:
    """A row whose file is missing is told so, although a later row has a URL that cannot be used."""
    assert s3.environment
    items = [Item(1, "missing.jpg", "cat", "train", ""), Item(2, "ftp://server/a.jpg", "cat", "train", "")]
    with pytest.raises(DataError, match="no such file"):
        States(Url(f"s3://{BUCKET}/nothing"), lambda: iter(items), follow=False).of(items[0])
