"""Adopted tars with damage and odd names give one line of error, or a sound set of the right samples."""

import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from headrace.prep.adopt import adopt
from headrace.prep.verify import check
from headrace.shards.errors import HeadraceError
from headrace.shards.shardset import ShardSet
from tests.prep import damage
from tests.prep.damage import Damage, everything_below, refusal, tarred, tree
from tests.prep.test_fuzz import ROUNDS

JPEGS = list(tree().values())
WHOLE = tarred(
    {f"{k:03d}.{end}".encode(): data for k in range(8) for end, data in (("jpg", JPEGS[k]), ("cls", b"%d" % (k % 3)))}
)


def adopted(tar: bytes, room: Path) -> list[tuple[str, str, bytes]] | None:
    """Key, class and image of each sample of a folder with only this tar, or None if it gave a clear error."""
    folder = room / "set"
    folder.mkdir()
    (folder / "train-0.tar").write_bytes(tar)
    error, found = refusal(lambda: adopt(folder, say=lambda _: None)), None
    assert (error or "").isprintable()
    if error is None:
        assert "sound" in check(folder, deep=True, say=print)
        shards = ShardSet.open(folder)
        split = shards.split("train")
        images = [one.tobytes() for one in split.jpegs(np.arange(len(split)))]
        classes = [shards.class_ids[label] for label in split.labels]
        found = list(zip(split.keys, classes, images, strict=True))
        split.close()
    expected = {"train-0.tar", "train-0.idx", "train.parquet", "shardset.json", "report.jsonl"}
    assert {path.name for path in folder.iterdir()} <= expected
    assert (folder / "train-0.tar").read_bytes() == tar
    shutil.rmtree(folder)
    assert everything_below(room) == {}, "something was written outside the folder"
    return found


@pytest.mark.parametrize("rounds", ROUNDS)
def test_damaged_tar(rounds: int, tmp_path: Path) -> None:
    """After a flipped bit or a cut each sample has its key and class, and its image differs in that bit at most."""
    chance, good = random.Random(11), 0
    for number in range(rounds * 2):
        spoil: Damage = (damage.cut, damage.flipped)[number % 2]
        found = adopted(spoil(chance, WHOLE), tmp_path)
        good += found is not None
        flips = 0
        for key, label, image in found or []:
            flips += sum((a ^ b).bit_count() for a, b in zip(JPEGS[int(key)], image, strict=True))
            flips += label != str(int(key) % 3)  # the flipped bit may make another digit
        assert flips <= 1
    assert 0 < good < rounds * 2


@pytest.mark.parametrize("rounds", ROUNDS)
def test_scrambled_tar(rounds: int, tmp_path: Path) -> None:
    """A tar with bytes changed, lost and doubled always ends in a sound set or an error."""
    chance = random.Random(12)
    for _ in range(rounds):
        adopted(damage.scrambled(chance, WHOLE), tmp_path)


@pytest.mark.parametrize("form", ["gnu", "pax"])
def test_odd_names(form: str, tmp_path: Path) -> None:
    """A sample with an odd name is in the set under that name or left out, and its neighbour is always there."""
    for name in damage.ODD_NAMES:
        stem = name.removesuffix(b".jpg")
        contents = {b"a.jpg": JPEGS[0], b"a.cls": b"7", stem + b".jpg": JPEGS[1], stem + b".cls": b"3"}
        try:
            tar = tarred(contents, form=1 if form == "gnu" else 2)
        except ValueError:
            continue  # this name cannot be written in this way at all
        found = adopted(tar, tmp_path)
        assert found is not None
        assert found[0] == ("a", "7", JPEGS[0])
        assert [one[1:] for one in found[1:]] in ([], [("3", JPEGS[1])])


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({b"b.jpg": JPEGS[1], b"b.jpeg": JPEGS[1], b"b.cls": b"1"}, None),
        ({b"b": b"", b"b.jpg": JPEGS[1], b"b.cls": b"1"}, None),
        ({b"b.JPG": JPEGS[1], b"b.jpg": JPEGS[1], b"b.cls": b"1"}, "two members of the same kind"),
        ({b"._b.jpg": JPEGS[1], b"._b.cls": b"1"}, "begins with a dot"),
        ({b"b.jpg": JPEGS[1], b"b.cls": b"\xff"}, "its label is not UTF-8"),
        ({b"b.jpg": JPEGS[1], b"b.cls": b"w" * 256}, "its label has 256 bytes"),
        ({b"b.jpg": JPEGS[1], b"b.cls": b" "}, "its label is neither a word"),
        ({b"b.jpg": JPEGS[1], b"b.cls": b"1\x1b[0m"}, "its label is neither a word"),
    ],
)
def test_odd_samples(members: dict[bytes, bytes], words: str | None, tmp_path: Path) -> None:
    """Doubled or hidden members, or ones without an extension, never give an index that does not fit its tar."""
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "x.tar").write_bytes(tarred({b"a.jpg": JPEGS[0], b"a.cls": b"0", **members}))
    adopt(folder, say=print)
    assert "sound" in check(folder, deep=True, say=print)
    assert len(ShardSet.open(folder).split("train")) == (2 if words is None else 1)
    assert words is None or words in (folder / "report.jsonl").read_text()


def test_tar_of_an_odd_name_is_said(tmp_path: Path) -> None:
    """A tar whose name is not a plain file name must be renamed, since the manifest cannot hold it."""
    (tmp_path / "my tar (1).tar").write_bytes(WHOLE)
    with pytest.raises(HeadraceError, match="Rename the tar"):
        adopt(tmp_path, say=print)
