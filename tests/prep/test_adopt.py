import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset

from headrace.prep.adopt import adopt
from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.prep.verify import check
from headrace.shards import headers
from headrace.shards.errors import DataError, UsageError
from headrace.shards.headers import refuse_unsafe
from headrace.shards.manifest import FileInfo, Manifest
from headrace.shards.shardset import ShardSet
from tests.e2e.commands import headrace
from tests.prep import fields
from tests.prep.contents import small
from tests.prep.damage import tarred
from tests.prep.odd_jpegs import after_start, exif

JPEGS = [data for path, data in small().items() if path.startswith("train/") and path.endswith("JPEG")]


def quiet(_: str) -> None:
    """Say nothing."""


def write(path: Path, samples: list[dict[str, Any]]) -> None:
    """Write a tar as users of webdataset do: with the defaults of the library."""
    with webdataset.TarWriter(str(path)) as writer:
        for sample in samples:
            writer.write(sample)


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    """Two training tars and a validation tar made by the webdataset library, 15 samples of labels 0 to 4."""
    for number, name in enumerate(("my-train-00.tar", "my-train-01.tar", "my-val-00.tar")):
        samples = [
            {"__key__": f"a/{k}", "jpg": JPEGS[k], "cls": k % 5, "json": {"x": k}}
            for k in range(5 * number, 5 * number + 5)
        ]
        write(tmp_path / name, samples)
    return tmp_path


def test_tars_of_others_become_a_set(tars: Path) -> None:
    """The tars stay unchanged; their samples are read by id, and the set verifies."""
    before = {path.name: path.read_bytes() for path in tars.iterdir()}
    adopt(tars, say=quiet)
    shards = ShardSet.open(tars)
    assert (shards.split_names, shards.class_ids) == (("train", "val"), ("0", "1", "2", "3", "4"))
    train = shards.split("train")
    assert [one.tobytes() for one in train.jpegs(np.arange(10))] == JPEGS[:10]
    assert train.labels.tolist() == [0, 1, 2, 3, 4] * 2
    assert (train.keys[7], train.describe(7)) == ("a/7", "my-train-01.tar, key a/7 (source my-train-01.tar/a/7)")
    assert {name: (tars / name).read_bytes() for name in before} == before
    assert "sound. 15 samples in 3 shards" in check(tars, deep=True, say=quiet)


def test_what_cannot_be_used_is_reported(tars: Path) -> None:
    """Samples without a label or image, damaged ones, and odd names are left out and reported with the reason."""
    samples: list[dict[str, Any]] = [
        {"__key__": "good", "jpg": JPEGS[0], "cls": 1},
        {"__key__": "cut", "jpg": JPEGS[1][:-30], "cls": 1},
        {"__key__": "unlabelled", "jpg": JPEGS[2]},
        {"__key__": "blind", "cls": 2},
        {"__key__": "od d", "jpg": JPEGS[3], "cls": 1},
    ]
    write(tars / "my-train-02.tar", samples)
    said: list[str] = []
    adopt(tars, say=said.append)
    assert len(ShardSet.open(tars).split("train")) == 11
    notes = [json.loads(line) for line in (tars / "report.jsonl").read_text().splitlines()]
    assert [note["source"].split(": ")[1] for note in notes] == ["blind", "cut", "od d", "unlabelled"]
    assert "4 samples could not be used" in said[0]
    assert "sound" in check(tars, deep=True, say=quiet)


def test_words_as_labels(tmp_path: Path) -> None:
    """Labels that are words become a sorted list of classes."""
    write(
        tmp_path / "x.tar",
        [{"__key__": str(k), "jpg": JPEGS[k], "cls": word} for k, word in enumerate(("dog", "cat", "dog"))],
    )
    adopt(tmp_path, say=quiet)
    shards = ShardSet.open(tmp_path)
    assert (shards.class_ids, shards.split("train").labels.tolist()) == (("cat", "dog"), [1, 0, 1])
    assert "sound" in check(tmp_path, deep=False, say=quiet)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ((b"02123045", b"02124075"), ("02123045", "02124075")),
        ((b"-1", b"0", b"1"), ("-1", "0", "1")),
        ((b"1.0", b"2.0"), ("1.0", "2.0")),
        ((b"7", b"07", b"007"), ("007", "07", "7")),
        ((b"5", b"cat"), ("5", "cat")),
        ((b"3\n", b"1"), ("0", "1", "2", "3")),
        (("\u0663".encode(), b"3"), ("3", "\u0663")),
    ],
)
def test_labels_that_look_like_numbers(labels: tuple[bytes, ...], classes: tuple[str, ...], tmp_path: Path) -> None:
    """Labels are all words or all integers: classes never merge, the set verifies, and is indexed again."""
    members = {
        f"{k}.{end}".encode(): data
        for k, label in enumerate(labels)
        for end, data in (("jpg", JPEGS[k]), ("cls", label))
    }
    (tmp_path / "x.tar").write_bytes(tarred(members))
    for _ in range(2):
        adopt(tmp_path, say=quiet)
        shards = ShardSet.open(tmp_path)
        assert shards.class_ids == classes
        found = [shards.class_ids[label] for label in shards.split("train").labels]
        assert found == [label.decode().strip() for label in labels]
        assert "sound" in check(tmp_path, deep=True, say=quiet)


@pytest.mark.parametrize("labels", [(b"dog", b"cat"), (b"1", b"0"), (b"02", b"01")])
def test_label_that_is_not_the_index_s(labels: tuple[bytes, ...], tmp_path: Path) -> None:
    """Verification compares words as it does integers, and finds exchanged labels in an index."""
    (tmp_path / "x.tar").write_bytes(
        tarred({b"0.jpg": JPEGS[0], b"0.cls": labels[0], b"1.jpg": JPEGS[1], b"1.cls": labels[1]})
    )
    manifest = adopt(tmp_path, say=quiet)
    table = pq.read_table(tmp_path / "train.parquet")
    exchanged = table.set_column(
        table.schema.get_field_index("label"), "label", table["label"].combine_chunks().take(pa.array([1, 0]))
    )
    pq.write_table(exchanged, tmp_path / "train.parquet")
    (train,) = manifest.splits
    info = FileInfo.of("train.parquet", (tmp_path / "train.parquet").read_bytes())
    forged = Manifest.make(
        manifest.classes, (train.model_copy(update={"index": info}),), manifest.source, manifest.options
    )
    (tmp_path / "shardset.json").write_bytes(forged.render())
    said: list[str] = []
    with pytest.raises(DataError, match="2 problems"):
        check(tmp_path, deep=False, say=said.append)
    assert f"its label is {labels[0].decode()!r}, but the index has {labels[1].decode()!r}" in said[0]


def test_stray_integer_is_an_error(tmp_path: Path) -> None:
    """A label of 999999, which would make a million classes, is named in an error, and nothing is written."""
    (tmp_path / "x.tar").write_bytes(
        tarred({b"0.jpg": JPEGS[0], b"0.cls": b"0", b"1.jpg": JPEGS[1], b"1.cls": b"999999"})
    )
    with pytest.raises(DataError, match="the largest of 2 different labels is 999999"):
        adopt(tmp_path, say=quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar"]


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (b"1", "b.jpg is a link"),
        (b"2", "b.jpg is a link"),
        (b"6", "b.jpg is a named pipe"),
        (b"S", "b.jpg is a sparse file"),
    ],
)
def test_sample_of_a_member_that_is_no_file(kind: bytes, what: str, tmp_path: Path) -> None:
    """Samples that are links or sparse files cannot be indexed, so they are left out with that reason."""
    odd = (
        fields.old_sparse(b"b.jpg", random.Random(1), extended=True)
        if kind == b"S"
        else fields.header(b"b.jpg", fields.octal(700), kind, target=b"a.jpg")
    )
    good = fields.member(b"a.jpg", JPEGS[0], b"7") + fields.member(b"a.cls", b"1")
    (tmp_path / "x.tar").write_bytes(good + odd + fields.member(b"b.cls", b"1") + fields.END)
    adopt(tmp_path, say=quiet)
    assert ShardSet.open(tmp_path).split("train").keys == ["a"]
    assert what in (tmp_path / "report.jsonl").read_text()
    assert "sound" in check(tmp_path, deep=True, say=quiet)


def test_names_reach_no_terminal_raw(tmp_path: Path) -> None:
    """Verify and the report print escape sequences and C1 controls in names of members as codes."""
    name, damaged = "a\x1b]0;x\x07\u009b31m\u202e", JPEGS[1][:-30]
    members = {f"{name}.jpg": JPEGS[0], f"{name}.cls": b"1", f"b{name}.jpg": damaged, f"b{name}.cls": b"1"}
    (tmp_path / "x.tar").write_bytes(tarred({key.encode(): data for key, data in members.items()}))
    assert headrace("index", tmp_path).code == 0
    report = (tmp_path / "report.jsonl").read_bytes()
    assert json.loads(report)["source"] == f"x.tar: b{name}"
    data = (tmp_path / "x.tar").read_bytes()
    (tmp_path / "x.tar").write_bytes(data.replace(JPEGS[0], bytes([*JPEGS[0][:-9], *bytes(9)])))
    ended = headrace("verify", tmp_path, "--deep")
    assert ended.code == 3
    assert "a\\u001b]0;x\\u0007\\u009b31m\\u202e.jpg" in ended.stdout
    for text in (ended.stdout, ended.stderr, report.decode("ascii")):
        assert all(line.isprintable() for line in text.splitlines())


def test_indexes_of_a_prepared_set_are_made_again(tiny_set: Path, tmp_path: Path) -> None:
    """A lost .idx and a damaged Parquet file are made again; digest and .idx are as before."""
    copy = Path(shutil.copytree(tiny_set, tmp_path / "copy"))
    (copy / "train-000001.idx").unlink()
    (copy / "val.parquet").write_bytes(b"damaged")
    adopt(copy, say=quiet)
    assert ShardSet.open(copy).digest == ShardSet.open(tiny_set).digest
    for name in ("train-000001.idx", "train.parquet"):
        assert (copy / name).read_bytes() == (tiny_set / name).read_bytes()
    assert "sound" in check(copy, deep=True, say=quiet)


def test_changed_tar_is_not_indexed_again(tiny_set: Path, tmp_path: Path) -> None:
    """A tar that differs from the manifest is an error, since indexing must not make damage look sound."""
    copy = Path(shutil.copytree(tiny_set, tmp_path / "copy"))
    with (copy / "train-000001.tar").open("r+b") as stream:
        stream.seek(700)
        stream.write(b"\1\2\3")
    with pytest.raises(DataError, match=r"train-000001\.tar: not the tar that the manifest describes"):
        adopt(copy, say=quiet)


def test_nothing_to_index(tmp_path: Path) -> None:
    """A missing folder, a folder without tars, and one without usable samples are errors."""
    with pytest.raises(UsageError, match="no such folder"):
        adopt(tmp_path / "none", say=quiet)
    with pytest.raises(UsageError, match=r"no \.tar files"):
        adopt(tmp_path, say=quiet)
    write(tmp_path / "x.tar", [{"__key__": "a", "txt": "hello"}])
    with pytest.raises(DataError, match="no tar has a usable sample"):
        adopt(tmp_path, say=quiet)


def test_image_that_harms_the_decoder_is_left_out(tars: Path) -> None:
    """A JPEG that is unsafe for the decoder of training gets no row, but a reason: the tar must not change."""
    samples: list[dict[str, Any]] = [
        {"__key__": "good", "jpg": after_start(JPEGS[0], exif(6)), "cls": 1},
        {"__key__": "twice", "jpg": after_start(JPEGS[1], exif(6), exif(3)), "cls": 1},
        {"__key__": "unclear", "jpg": after_start(JPEGS[2], exif(6, count=100)), "cls": 1},
    ]
    write(tars / "my-train-02.tar", samples)
    adopt(tars, say=quiet)
    notes = [json.loads(line) for line in (tars / "report.jsonl").read_text().splitlines()]
    assert [note["source"].split(": ")[1] for note in notes] == ["twice", "unclear"]
    assert "has two EXIF segments" in notes[0]["reason"]
    refuse_unsafe(ShardSet.open(tars))


@pytest.mark.parametrize("make", ["prep", "index"])
def test_sets_made_here_are_noted(
    tiny_zip: Path, tars: Path, make: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training on a set that was just made does not check its headers again."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tars if make == "index" else tmp_path / "made"
    if make == "index":
        adopt(root, say=quiet)
    else:
        prep(tiny_zip, root, Options(), workers=1, if_exists="error", say=quiet)
    monkeypatch.setattr(headers, "why_unsafe_at", lambda *_: "a second look")
    refuse_unsafe(ShardSet.open(root))


def test_splits_are_called_as_people_call_them(tmp_path: Path) -> None:
    """The first usual word in the name of a tar gives its split; a tar without one is for training."""
    names = ("Training-0.tar", "part-1.tar", "development.tar", "x_testing_0.tar")
    for number, name in enumerate(names):
        write(tmp_path / name, [{"__key__": f"{number}", "jpg": JPEGS[number], "cls": 0}])
    adopt(tmp_path, say=quiet)
    shards = ShardSet.open(tmp_path)
    assert {name: shards.split(name).keys for name in shards.split_names} == {
        "train": ["0", "1"],
        "val": ["2"],
        "test": ["3"],
    }
