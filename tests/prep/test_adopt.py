import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset

from prep.adopt import adopt
from prep.check import check
from prep.convert import prep
from prep.options import Options
from shards import headers
from shards.errors import DataError, UsageError
from shards.headers import refuse_unsafe
from shards.shardset import ShardSet
from tests.prep.odd_jpegs import after_start, exif
from tests.prep.sources import small

JPEGS = [data for path, data in small().items() if path.startswith("train/") and path.endswith("JPEG")]


def quiet(_: str) -> None:
    """Say nothing."""


def write(path: Path, samples: list[dict[str, Any]]) -> None:
    """A tar as webdataset's users write them: with the library's defaults."""
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
    """Tars are not touched; their samples are read by id, and the set verifies."""
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
    """Samples without label or image, with damage, or with odd names are left out, each with its reason."""
    samples = [
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
    """Labels that are words become a sorted class list."""
    write(
        tmp_path / "x.tar",
        [{"__key__": str(k), "jpg": JPEGS[k], "cls": word} for k, word in enumerate(("dog", "cat", "dog"))],
    )
    adopt(tmp_path, say=quiet)
    shards = ShardSet.open(tmp_path)
    assert (shards.class_ids, shards.split("train").labels.tolist()) == (("cat", "dog"), [1, 0, 1])
    assert "sound" in check(tmp_path, deep=False, say=quiet)


def test_indexes_of_a_prepared_set_are_made_again(tiny_set: Path, tmp_path: Path) -> None:
    """A lost .idx and a damaged Parquet file come back; the digest stays, and the .idx has its old bytes."""
    copy = Path(shutil.copytree(tiny_set, tmp_path / "copy"))
    (copy / "train-000001.idx").unlink()
    (copy / "val.parquet").write_bytes(b"damaged")
    adopt(copy, say=quiet)
    assert ShardSet.open(copy).digest == ShardSet.open(tiny_set).digest
    for name in ("train-000001.idx", "train.parquet"):
        assert (copy / name).read_bytes() == (tiny_set / name).read_bytes()
    assert "sound" in check(copy, deep=True, say=quiet)


def test_changed_tar_is_not_indexed_again(tiny_set: Path, tmp_path: Path) -> None:
    """A tar that is not the manifest's is an error: indexing must not make damage look sound."""
    copy = Path(shutil.copytree(tiny_set, tmp_path / "copy"))
    with (copy / "train-000001.tar").open("r+b") as stream:
        stream.seek(700)
        stream.write(b"\1\2\3")
    with pytest.raises(DataError, match=r"train-000001\.tar: not the tar that the manifest describes"):
        adopt(copy, say=quiet)


def test_nothing_to_index(tmp_path: Path) -> None:
    """No folder, no tars, or no usable sample is said."""
    with pytest.raises(UsageError, match="no such folder"):
        adopt(tmp_path / "none", say=quiet)
    with pytest.raises(UsageError, match=r"no \.tar files"):
        adopt(tmp_path, say=quiet)
    write(tmp_path / "x.tar", [{"__key__": "a", "txt": "hello"}])
    with pytest.raises(DataError, match="no usable sample"):
        adopt(tmp_path, say=quiet)


def test_image_that_harms_the_decoder_is_left_out(tars: Path) -> None:
    """A tar keeps its bytes, so a JPEG that training must not decode as it is has no row, and a reason."""
    samples = [
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
    """A training of a set that was just made does not look at its headers again."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tars if make == "index" else tmp_path / "made"
    if make == "index":
        adopt(root, say=quiet)
    else:
        prep(tiny_zip, root, Options(), workers=1, if_exists="error", say=quiet)
    monkeypatch.setattr(headers, "why_unsafe_at", lambda *_: "a second look")
    refuse_unsafe(ShardSet.open(root))
