"""What counts as left over at a URL, judged by names and times alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headrace.shards.leftovers import leftovers
from headrace.shards.manifest import ADOPTED, Manifest, load
from headrace.shards.remote import Entry

NOW = datetime(2026, 5, 4, tzinfo=UTC)
OLD, YOUNG = NOW - timedelta(hours=25), NOW - timedelta(hours=23)


@pytest.fixture
def manifest(tiny_set: Path) -> Manifest:
    """The manifest of a set that prep made."""
    return load(tiny_set)


def names(there: dict[str, datetime], manifest: Manifest | None) -> list[str]:
    """The names of the leftovers among these files."""
    return [one.name for one in leftovers([Entry(name, 1, time) for name, time in there.items()], manifest, NOW).old]


def test_only_what_prep_left_and_no_manifest_names(manifest: Manifest, tiny_set: Path) -> None:
    """Files of the set stay, and so do files that prep did not write, whatever their names."""
    own = {path.name: OLD for path in tiny_set.iterdir()}
    others = {"README.md": OLD, "mine.tar": OLD, "folder/train-000000.tar": OLD, "Train-000001.tar": OLD}
    left = {"train-000999.tar": OLD, "train-000999.idx": OLD, "other.parquet": OLD, ".prep/plan.json": OLD}
    assert names(own | others | left, manifest) == sorted(left)
    assert names(own | others, manifest) == []
    assert names(left | {"source.stat": OLD}, None) == sorted([*left, "source.stat"])


def test_young_files_stay(manifest: Manifest) -> None:
    """The age of each file counts, but all files of a prep stay as long as any of its records is young."""
    found = leftovers([Entry("train-000999.tar", 1, YOUNG), Entry("train-000998.tar", 1, OLD)], manifest, NOW)
    assert ([one.name for one in found.old], found.young, found.busy) == (["train-000998.tar"], 1, False)
    there = {".prep/plan.json": OLD, ".prep/ab/train-000000.record": YOUNG, "train-000000.tar": OLD}
    found = leftovers([Entry(name, 1, time) for name, time in there.items()], None, NOW)
    assert (found.old, found.young, found.busy) == ([], 3, True)


def test_tars_beside_an_adopted_set_stay(manifest: Manifest) -> None:
    """Tars beside an adopted set stay, since they may be waiting to be adopted."""
    source = manifest.source.model_copy(update={"layout": ADOPTED})
    adopted = manifest.model_copy(update={"source": source})
    assert names({"train-000999.tar": OLD, ".prep/plan.json": OLD}, adopted) == [".prep/plan.json"]
