"""What a later version wrote ends every command in one line that asks for an upgrade, and nothing is changed."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from headrace.shards.manifest import NAME, FileInfo, Manifest, load
from tests.checkout import ROOT
from tests.faults.runs import here, one_line

WRITTEN = ROOT / "tests" / "formats" / "c122ade"
UPGRADE = "made by a newer Headrace: upgrade"


def later_version(root: Path) -> None:
    """Give the set a format that does not exist yet."""
    _edit(root, {"format": 99, "layers": []})


def unknown_field(root: Path) -> None:
    """Give the set a field that does not exist yet."""
    _edit(root, {"format": 2, "layers": []})


def _edit(root: Path, more: dict[str, Any]) -> None:
    manifest = json.loads((root / NAME).read_bytes())
    (root / NAME).write_text(json.dumps(manifest | more))


def unknown_column(root: Path) -> None:
    """Give both indexes a column that does not exist yet."""
    manifest = load(root)
    splits = []
    for split in manifest.splits:
        table, out = pq.read_table(root / split.index.name), io.BytesIO()
        pq.write_table(table.append_column("weight", pa.array([1.0] * len(table))), out)
        (root / split.index.name).write_bytes(out.getvalue())
        index = FileInfo.of(split.index.name, out.getvalue())
        splits.append(split.model_copy(update={"index": index}))
    made = Manifest.make(manifest.classes, tuple(splits), manifest.source, manifest.options)
    (root / NAME).write_bytes(made.render())


def unknown_option(root: Path) -> None:
    """Have the set made with an option that does not exist yet."""
    _edit(root, {"options": load(root).options | {"tint": "exact"}})


def contents(root: Path) -> dict[str, bytes]:
    """What is in the folder, by name."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """A sound set, and its source beside it."""
    shutil.copy2(WRITTEN / "source.zip", tmp_path)
    return Path(shutil.copytree(WRITTEN / "set", tmp_path / "set"))


COMMANDS: dict[str, Callable[[Path], list[object]]] = {
    "verify": lambda root: ["verify", root],
    "inspect": lambda root: ["inspect", root],
    "index": lambda root: ["index", root],
    "train": lambda root: ["train", root, "--recipe", "demo", "--out", root.parent / "run"],
    "eval": lambda root: ["eval", WRITTEN / "run-1" / "last.pt", root],
    "prep": lambda root: ["prep", root.parent / "source.zip", root],
    "rebuild": lambda root: ["prep", root.parent / "source.zip", root, "--if-exists", "rebuild"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("change", [later_version, unknown_field])
def test_newer_manifest(shards: Path, command: str, change: Callable[[Path], None]) -> None:
    """Every command that opens a set says it; a rebuild does not take a newer set for a damaged one."""
    change(shards)
    before = contents(shards)
    result = here(*map(str, COMMANDS[command](shards)))
    one_line(result, 3, NAME, UPGRADE)
    assert "damaged" not in result.output
    assert contents(shards) == before


@pytest.mark.parametrize("command", ["verify", "inspect", "index", "train"])
@pytest.mark.parametrize("name", ["set", "adopted"])
def test_newer_index(tmp_path: Path, name: str, command: str) -> None:
    """A column that is not known is no damage that new indexes would mend: they would lose it."""
    root = Path(shutil.copytree(WRITTEN / name, tmp_path / "set"))
    unknown_column(root)
    before = contents(root)
    words = [*COMMANDS[command](root), *(("--set=train.global_batch=16",) if command == "train" else ())]
    one_line(here(*map(str, words)), 3, ".parquet", "weight", UPGRADE)
    assert contents(root) == before


def test_newer_option(shards: Path) -> None:
    """A set made with an option of a later prep is read as any other; only a prep that would reuse it must know."""
    unknown_option(shards)
    assert here("verify", str(shards)).exit_code == 0
    one_line(here(*map(str, COMMANDS["prep"](shards))), 3, "tint", UPGRADE)


@pytest.mark.parametrize("changes", [{"format": 99}, {"format": 1, "teacher": {}}])
@pytest.mark.parametrize("command", ["resume", "eval"])
def test_newer_checkpoint(tmp_path: Path, command: str, changes: dict[str, Any]) -> None:
    """A run whose newest checkpoint is newer is not resumed from an older one: it would lose its steps."""
    run = Path(shutil.copytree(WRITTEN / "run-1", tmp_path / "run", symlinks=True))
    state = torch.load(run / "last.pt", weights_only=True) | changes
    (run / "last.pt").unlink()
    torch.save(state, run / "last.pt")
    later = run / "checkpoints" / f"step-00000005-{_begin(run / 'last.pt')}.pt"
    (run / "last.pt").rename(later)
    before = contents(run)
    words = {
        "resume": ["train", WRITTEN / "set", "--out", run, "--resume"],
        "eval": ["eval", later, WRITTEN / "set"],
    }
    result = here(*map(str, words[command]))
    one_line(result, 3, later.name, UPGRADE)
    assert "damaged" not in result.output
    assert contents(run) == before


def _begin(path: Path) -> str:
    return FileInfo.of("a", path.read_bytes()).sha256[:16]
