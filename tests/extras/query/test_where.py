"""Conditions of `headrace subset`, judged by the DuckDB of the extra `query`."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.prep.make.subset import condition
from headrace.prep.subset import subset
from headrace.shards import index, index_writer
from headrace.shards.shardset import ShardSet
from tests.e2e.commands import headrace, refused
from tests.prep.test_subset import quiet, samples

_NUMBERS = ("id", "shard", "size", "label", "width", "crc32", "source_size")
_SIGNS: dict[str, Callable[[Any, int], Any]] = {"<": np.less, ">=": np.greater_equal, "=": np.equal, "<>": np.not_equal}
_TERMS = st.tuples(st.sampled_from(_NUMBERS), st.sampled_from(sorted(_SIGNS)), st.floats(0, 1))


def columns(root: Path, split: str) -> dict[str, Any]:
    """The number columns of a split, and its ids."""
    (info,) = (one.index for one in ShardSet.open(root).manifest.splits if one.name == split)
    found: dict[str, Any] = dict(index.read_numbers(root, info, _NUMBERS[1:]))
    return found | {"id": np.arange(len(found["label"]))}


@settings(max_examples=15)
@given(st.lists(_TERMS, min_size=1, max_size=3), st.booleans())
def test_is_what_numpy_says(tiny_set: Path, terms: list[tuple[str, str, float]], every: bool) -> None:
    """Comparisons of columns with values near those that are there, all of them or any."""
    train = columns(tiny_set, "train")
    values = [int(np.quantile(train[name], at)) for name, _, at in terms]
    text = (" and " if every else " or ").join(
        f"{name} {sign} {value}" for (name, sign, _), value in zip(terms, values, strict=True)
    )
    parent, wanted = samples(tiny_set), {}
    for split in ("train", "val"):
        own = columns(tiny_set, split)
        judged = [_SIGNS[sign](own[name], value) for (name, sign, _), value in zip(terms, values, strict=True)]
        rows = np.flatnonzero(np.all(judged, axis=0) if every else np.any(judged, axis=0)).tolist()
        if rows:
            wanted[split] = [parent[split][row] for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "part"
        if not wanted:
            return
        made = subset(tiny_set, out, where=text, ids=None, drop_empty_classes=False, say=quiet)
        assert samples(out) == wanted
        assert made.manifest.options["where"] == text
        assert subset(tiny_set, out, where=text, ids=None, drop_empty_classes=False, say=quiet).reused


def test_texts_hashes_and_row_groups(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Split, class, source, key and SHA-256 can be named; ids count through all row groups of an index."""
    shards = ShardSet.open(tiny_set)
    own = samples(tiny_set)["train"]
    text = f"split = 'train' and (class = '{shards.class_ids[3]}' or sha256 = from_hex('{own[9].sha256.hex()}'))"
    wanted = [row for row, one in enumerate(own) if one.class_id == shards.class_ids[3] or one.sha256 == own[9].sha256]
    found = condition.matching(shards, text)
    assert (found["train"].tolist(), found["val"].tolist()) == (wanted, [])
    monkeypatch.setattr(index_writer, "_MOST", 100)
    subset(tiny_set, tmp_path / "groups", where="true", ids=None, drop_empty_classes=False, say=quiet)
    groups = ShardSet.open(tmp_path / "groups")
    assert condition.matching(groups, "id % 7 = 3")["train"].tolist() == list(range(3, 480, 7))
    like = f"source = '{own[250].source}' and key = '000000250'"
    assert condition.matching(groups, like)["train"].tolist() == [250]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bogus = 1", ("bogus", "split, id, class, key")),
        ("label = 1; drop table x", ("Parser Error",)),
        ("label = 1) or (true", ("Parser Error",)),
        ("label, id", ("single expression",)),
        ("count(*) > 1", ("aggregates",)),
        ("cast(source as int) = 1", ("Conversion Error",)),
        ("id in (select count(*) from read_text('SECRET'))", ("Permission Error",)),
        ("id in (select count(*) from 'SECRET')", ("--where",)),
        ("id in (select 1 from rows)", ("does not exist",)),
        ("random() < 0.5", ("each time", "crc32")),
        ("label = 'x", ("Parser Error",)),
        ("", ("--where",)),
    ],
)
def test_what_is_no_condition(tiny_set: Path, tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    """One line with DuckDB's reason and exit code 2; no file is read and no set is there."""
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\nhidden,1\n")
    ended = headrace("subset", tiny_set, tmp_path / "part", "--where", text.replace("SECRET", str(secret)))
    refused(ended, 2, *words)
    assert "hidden" not in ended.stderr
    assert not (tmp_path / "part").exists()


def test_command(tiny_set: Path, tmp_path: Path) -> None:
    """Made, then reused; a split without a sample is said."""
    part = tmp_path / "part"
    made = headrace("subset", tiny_set, part, "--where", "split = 'train' and label < 2", "--drop-empty-classes")
    assert made.code == 0, made.stderr
    assert f"{part}: 80 train samples, 2 classes" in made.stdout
    assert "split val is omitted" in made.stdout + made.stderr
    again = headrace("subset", tiny_set, part, "--where", "split = 'train' and label < 2", "--drop-empty-classes")
    assert (again.code, "reused" in again.stdout) == (0, True)
