import hashlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.prep.images.admit import sides
from headrace.shards import headers, index_writer
from headrace.shards.errors import DataError
from headrace.shards.manifest import NAME, FileInfo, Manifest, load
from headrace.shards.shardset import ShardSet
from headrace.shards.verify import verify
from tests.prep.odd_jpegs import exif
from tests.shards.older_sets import KEY, TWO_EXIF, older_set


@pytest.fixture
def copy(tiny_set: Path, tmp_path: Path) -> Path:
    """A copy of the tiny set that a test may damage."""
    return Path(shutil.copytree(tiny_set, tmp_path / "copy"))


def problems(root: Path, *, deep: bool = False) -> list[str]:
    """The problems that a verification of `root` finds."""
    return verify(root, decode=sides if deep else None, threads=2, progress=lambda _: None).problems


def patch(path: Path, place: int, content: bytes) -> None:
    """Overwrite bytes of a file."""
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(content)


def in_idx(root: Path, pattern: str, other: str) -> None:
    """Replace the first match of a pattern in an .idx file."""
    path = root / "val-000000.idx"
    path.write_text(re.sub(pattern, other, path.read_text(), count=1))


@pytest.mark.parametrize("deep", [False, True])
def test_sound_set_has_no_problems(tiny_set: Path, deep: bool) -> None:
    """A new set passes, and progress reaches its last sample."""
    seen: list[int] = []
    assert verify(tiny_set, decode=sides if deep else None, threads=2, progress=seen.append).problems == []
    assert seen[-1] == 600


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda root: (root / "train-000000.tar").unlink(), "train-000000.tar: No such file"),
        (lambda root: patch(root / "train-000001.tar", 700, b"\1\2\3"), "train-000001.tar: SHA-256"),
        (lambda root: (root / "val-000000.idx").unlink(), "val-000000.idx: "),
        (
            lambda root: (root / "val-000000.idx").write_text("v1.2 0\n"),
            "val-000000.idx: 0 samples, but the index has 60",
        ),
        (
            lambda root: (root / "val-000001.idx").write_bytes((root / "val-000000.idx").read_bytes()),
            "val-000001.idx: ",
        ),
        (
            lambda root: in_idx(root, "\njpg ", "\njqg "),
            "val-000000.idx: gives 'jqg' as the extension of 000000000.jpg",
        ),
        (lambda root: in_idx(root, " cls ", " clx "), "val-000000.idx: gives 'clx' as the extension of 000000000.cls"),
        (lambda root: in_idx(root, r" cls .*", ""), "val-000000.idx: byte 512: a sample without its label"),
        (
            lambda root: in_idx(root, r"\n(jpg .*) (cls .*)", r"\n\1 \2 \2"),
            "val-000000.idx: line 2 has two members with the same",
        ),
        (lambda root: patch(root / "train.parquet", 900, b"\1\2\3"), "train.parquet: not the file"),
        (lambda root: (root / "train.parquet").unlink(), "train.parquet: No such file"),
    ],
)
def test_each_damage_is_named_with_its_remedy(copy: Path, damage: Callable[[Path], None], words: str) -> None:
    """The problems of a damaged file name it, say what is wrong, and say what to do."""
    damage(copy)
    found = problems(copy)
    assert words in found[0]
    assert ("headrace prep " if ".tar: " in words else "headrace index ") in found[0]


def test_deep_finds_what_a_forged_manifest_hides(copy: Path) -> None:
    """If a tar and its sum in the manifest were both changed, the checksum of the sample still differs."""
    tar = copy / "train-000000.tar"
    patch(tar, 700, b"\1\2\3\4")
    manifest = load(copy)
    train, *others = manifest.splits
    first = train.shards[0].model_copy(update={"sha256": hashlib.sha256(tar.read_bytes()).hexdigest()})
    train = train.model_copy(update={"shards": (first, *train.shards[1:])})
    forged = Manifest.make(manifest.classes, (train, *others), manifest.source, manifest.options)
    (copy / NAME).write_bytes(forged.render())
    assert problems(copy) == []
    assert ["000000000.jpg: its bytes do not match" in problem for problem in problems(copy, deep=True)] == [True]


@pytest.mark.parametrize("deep", [False, True])
def test_image_that_harms_the_decoder_is_named(tmp_path: Path, deep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample of an older version that harms the decoder is named, deep or not, and no note is left."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (found,) = problems(older_set(tmp_path, *TWO_EXIF), deep=deep)
    assert f"train-000000.tar: {KEY}.jpg: " in found
    assert "two EXIF segments" in found
    assert not list(tmp_path.glob("cache/headrace/headers/*"))


def test_image_that_trains_otherwise_is_named(tmp_path: Path) -> None:
    """A deep check finds EXIF data that prep and the decoder of training read differently."""
    root = older_set(tmp_path, exif(6, count=100))
    assert problems(root) == []
    (found,) = problems(root, deep=True)
    assert f"{KEY}.jpg: the file has EXIF data that decoders read in different ways" in found


def test_sound_set_is_noted(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training after a verification does not check the headers again."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    problems(tiny_set)
    monkeypatch.setattr(headers, "why_unsafe_at", lambda *_: "a second look")
    headers.refuse_unsafe(ShardSet.open(tiny_set))


def test_deep_compares_sides_with_the_index(copy: Path) -> None:
    """A row whose width differs from that of the decoded image is named with both widths."""
    table = pq.read_table(copy / "val.parquet")
    widths = table.column("width").to_pylist()
    forged = table.set_column(table.column_names.index("width"), "width", pa.array([1, *widths[1:]], pa.int32()))
    pq.write_table(forged, copy / "val.parquet")
    manifest = load(copy)
    info = FileInfo.of("val.parquet", (copy / "val.parquet").read_bytes())
    splits = [one.model_copy(update={"index": info}) if one.name == "val" else one for one in manifest.splits]
    (copy / NAME).write_bytes(
        Manifest.make(manifest.classes, tuple(splits), manifest.source, manifest.options).render()
    )
    assert problems(copy) == []
    (found,) = problems(copy, deep=True)
    assert "decodes to 64 x 64 pixels, but the index says 1 x 64" in found


def test_many_problems_of_a_shard_are_summed_up(copy: Path) -> None:
    """A shard with problems throughout gives a few lines, not thousands."""
    path = copy / "train-000003.idx"
    path.write_text(path.read_text().replace(" 3\n", " 4\n").replace("cls ", "cls 1"))
    found = problems(copy)
    assert len(found) == 4
    assert "93 more problems" in found[-1]


def make_fifo(path: Path) -> None:
    """Replace a file by a FIFO that has no writer."""
    path.unlink()
    os.mkfifo(path)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["train-000001.tar", "val-000000.idx", "train.parquet"])
def test_fifo_in_place_of_a_file_is_a_problem(copy: Path, name: str) -> None:
    """A FIFO, which would make its reader wait for a writer, is reported like any damage."""
    make_fifo(copy / name)
    (found,) = problems(copy)
    assert f"{name}: not a regular file" in found


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["shardset.json", "train-000001.tar", "train.parquet"])
def test_fifo_is_not_opened_for_reading(copy: Path, name: str) -> None:
    """A FIFO does not make programs that only read the set wait either."""
    make_fifo(copy / name)
    with pytest.raises(DataError, match=rf"{name}: .*not a regular file"):
        ShardSet.open(copy).split("train")


@pytest.mark.timeout(60)
def test_tar_that_becomes_a_fifo_is_not_opened(copy: Path) -> None:
    """A FIFO that replaces a tar after the sizes were checked is not opened either."""
    shards = ShardSet.open(copy)
    make_fifo(copy / "train-000001.tar")
    with pytest.raises(DataError, match="not a regular file"):
        shards.split("train")


def test_set_with_sums_of_parts_is_as_sound(
    tiny_zip: Path, tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large set has an index with sums of parts, but the same tars and the same digest."""
    monkeypatch.setattr(index_writer, "LARGE", 100)
    monkeypatch.setattr(index_writer, "_LEAST", 90)
    options = Options(samples_per_shard=100)
    prep(tiny_zip, tmp_path / "set", options, workers=1, if_exists="error", say=lambda _: None)
    assert load(tmp_path / "set").digest == load(tiny_set).digest
    assert all(split.index.parts for split in load(tmp_path / "set").splits)
    assert pq.ParquetFile(tmp_path / "set" / "train.parquet").num_row_groups == 5
    assert problems(tmp_path / "set", deep=True) == []
    for name in ("train", "val"):
        tables = [pq.read_table(root / f"{name}.parquet") for root in (tmp_path / "set", tiny_set)]
        assert tables[0].equals(tables[1])
    assert "parts" not in (tiny_set / NAME).read_text()
