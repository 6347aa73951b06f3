import io
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from headrace.shards import idx
from headrace.shards.errors import DataError, HeadraceError, UsageError, error_line
from headrace.shards.manifest import NAME, FileInfo, Manifest, load
from headrace.shards.shardset import ShardSet
from headrace.shards.verify import verify
from headrace.train.checkpoint import files
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.checkpoint.progress import Progress
from headrace.train.recipe.recipe import load_recipe
from tests.faults.mutations import CASES, mutations
from tests.train.checkpoint.made_files import STATE

# What may come of a damaged file: a HeadraceError (counted by its kind), or the same content as before.
Seen = Counter[str]


def refused(error: HeadraceError, seen: Seen) -> None:
    """Count the error; it must be one printable line."""
    line = error_line(error)
    assert line.isprintable(), line
    seen[type(error).__name__] += 1


@pytest.fixture
def shards(tiny_set: Path, tmp_path: Path) -> Path:
    """A shard set of its own, that may be damaged."""
    return Path(shutil.copytree(tiny_set, tmp_path / "set"))


def content(shards: ShardSet) -> Any:
    """All that training takes from a set."""
    splits = [shards.split(name) for name in shards.split_names]
    found = [(s.name, s.labels.tolist(), s.shard_of.tolist(), s._offsets.tolist(), s._sizes.tolist()) for s in splits]
    for split in splits:
        split.close()
    return shards.digest, shards.class_ids, shards.class_names, found


def open_damaged(shards: Path, name: str, refusals: tuple[type[HeadraceError], ...], seed: int, *, text: bool) -> Seen:
    """Open the set with each of 1,000 damaged versions of a file: one of the refusals, or the same content."""
    path, seen = shards / name, Seen()
    data, whole = path.read_bytes(), content(ShardSet.open(shards))
    for damaged in mutations(data, seed, text=text):
        path.write_bytes(damaged)
        try:
            assert content(ShardSet.open(shards)) == whole
            seen["accepted"] += 1
        except refusals as error:
            refused(error, seen)
    return seen


def test_manifest(shards: Path) -> None:
    """1,000 damaged manifests: refused with 2 or 3, or the set is the same."""
    seen = open_damaged(shards, NAME, (UsageError, DataError), 1, text=True)
    assert seen["DataError"] > CASES / 2, seen


def test_parquet(shards: Path) -> None:
    """1,000 damaged indexes: refused with 3 before they are parsed, or the set is the same."""
    seen = open_damaged(shards, "train.parquet", (DataError,), 2, text=False)
    assert seen["DataError"] > CASES * 0.9, seen


def with_index(root: Path, table: pa.Table | bytes) -> None:
    """Give the set another training index, with a manifest that vouches for it."""
    out = io.BytesIO()
    if isinstance(table, pa.Table):
        pq.write_table(table, out)
        table = out.getvalue()
    (root / "train.parquet").write_bytes(table)
    manifest = load(root)
    splits = tuple(
        split.model_copy(update={"index": FileInfo.of("train.parquet", table)}) if split.name == "train" else split
        for split in manifest.splits
    )
    made = Manifest.make(manifest.classes, splits, manifest.source, manifest.options)
    (root / NAME).write_bytes(made.render())


@pytest.mark.parametrize("column", ["shard", "offset", "size", "label", "width", "height", "crc32"])
@pytest.mark.parametrize("kind", ["text", "null", "huge", "negative", "fraction", "nested", "missing"])
def test_parquet_of_wrong_types(shards: Path, column: str, kind: str) -> None:
    """An index whose hash is right, but not its content, is refused with 3; no read leaves its tar."""
    table = pq.read_table(shards / "train.parquet")
    rows, own = table.num_rows, table.schema.field(column).type
    values = {
        "text": pa.array(["x"] * rows),
        "null": pa.array([None] * rows, pa.int64()),
        "huge": pa.array(np.full(rows, 2**62)),
        "negative": pa.array(np.full(rows, -1)).cast(own, safe=False),
        "fraction": pa.array(np.full(rows, 0.5)),
        "nested": pa.array([[1, 2]] * rows),
    }
    place = table.column_names.index(column)
    changed = table.drop([column]) if kind == "missing" else table.set_column(place, column, values[kind])
    with_index(shards, changed)
    with pytest.raises(DataError):
        read_all(shards)


def read_all(shards: Path) -> None:
    """Read every training sample, as training does."""
    split = ShardSet.open(shards).split("train")
    split.jpegs(np.arange(len(split)))


def test_idx(shards: Path) -> None:
    """1,000 damaged indexes of DALI's: each is a problem that `verify` names, or says what the tar says."""
    path, seen = shards / "train-000000.idx", Seen()
    text = path.read_bytes()
    whole = list(idx.parse(text.decode()))
    for damaged in mutations(text, 3, text=True, cases=CASES):
        path.write_bytes(damaged)
        try:
            same = list(idx.parse(damaged.decode("utf-8", "replace"))) == whole
            seen["accepted" if same else "other"] += 1
        except DataError as error:
            refused(error, seen)
    for damaged in mutations(text, 4, text=True, cases=40):
        path.write_bytes(damaged)
        problems = verify(shards, decode=None, threads=1, progress=lambda _: None).problems
        assert all("train-000000.idx" in problem for problem in problems)
    assert seen["DataError"] > CASES / 4, seen


def test_recipe(tmp_path: Path) -> None:
    """1,000 damaged recipes: refused with 2 and the key, or a valid recipe that reads back as itself."""
    path, again, seen = tmp_path / "recipe.toml", tmp_path / "again.toml", Seen()
    data = load_recipe("demo").toml().encode()
    for damaged in mutations(data, 5, text=True):
        path.write_bytes(damaged)
        try:
            recipe = load_recipe(str(path))
        except UsageError as error:
            refused(error, seen)
            continue
        again.write_text(recipe.toml(), encoding="utf-8")
        assert load_recipe(str(again)) == recipe
        seen["valid"] += 1
    assert seen["UsageError"] > CASES / 2, seen


def small_state() -> dict[str, Any]:
    """A checkpoint's state in its real form, with a model of a few numbers."""
    weights = {"weight": torch.arange(256, dtype=torch.float32).reshape(16, 16)}
    return STATE | {
        "model": weights,
        "optimizer": {"state": {0: {"momentum_buffer": weights["weight"] * 2}}, "param_groups": []},
        "progress": Progress(step=10, epochs_done=1, best_accuracy=1.0, best_epoch=1).state(),
        "recipe": load_recipe("demo").model_dump(mode="json", exclude_none=True),
    }


def same(one: Any, other: Any) -> bool:
    """Equality of nested values with tensors in them."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return bool(one == other)


@pytest.mark.parametrize("renamed", [False, True], ids=["named by its hash", "renamed"])
def test_checkpoint(tmp_path: Path, renamed: bool) -> None:
    """1,000 damaged checkpoints, also under a name without a hash: refused with 3, or the very same state."""
    state, seen = small_state(), Seen()
    files.save(tmp_path, state, 10, best=False, keep=1)
    path = (tmp_path / "last.pt").resolve()
    data = path.read_bytes()
    target = tmp_path / "copy.pt" if renamed else path
    for damaged in mutations(data, 6, text=False):
        target.write_bytes(damaged)
        try:
            assert same(files.load(target).state, state)
            seen["accepted"] += 1
        except DataError as error:
            refused(error, seen)
    assert seen["DataError"] > CASES / 2, seen


@pytest.mark.faults
def test_checkpoint_of_wrong_values(tmp_path: Path) -> None:
    """1,000 well-formed checkpoints with one value exchanged: refused with 3, or their progress is possible."""
    draw, seen = random.Random(7), Seen()
    odd: list[Any] = [None, True, -1, 2**70, 1e308, float("nan"), "x", "\x1b[31m\n", [], {}, [[1]], torch.ones(2)]
    for _ in range(CASES):
        state = small_state()
        table: Any = draw.choice(
            [state, state["progress"], state["progress"], state["recipe"], state["recipe"]["train"]]
        )
        table[draw.choice(list(table))] = draw.choice(odd)
        try:
            buffer = io.BytesIO()
            torch.save(state, buffer)
            (tmp_path / "copy.pt").write_bytes(buffer.getvalue())
            saved = Checkpoint.of(files.load(tmp_path / "copy.pt"))
            assert 0 <= saved.progress.step <= 1 << 53
            assert saved.recipe
            assert saved.precision
            seen["accepted"] += 1
        except DataError as error:
            refused(error, seen)
    assert seen["DataError"] > CASES / 2, seen
    assert seen["accepted"] > CASES / 50, seen  # odd words for the version, more epochs
