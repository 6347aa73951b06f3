import json
from pathlib import Path
from typing import Any

import pytest

from headrace.shards.errors import DataError, UsageError
from headrace.shards.manifest import NAME, load


def edited(tiny_set: Path, folder: Path, change: Any) -> Path:
    """A folder that holds the tiny set's manifest after `change`."""
    content = json.loads((tiny_set / NAME).read_bytes())
    change(content)
    (folder / NAME).write_text(json.dumps(content))
    return folder


def test_reads_back_what_was_written(tiny_set: Path) -> None:
    """A manifest renders to the very bytes that it was read from."""
    assert load(tiny_set).render() == (tiny_set / NAME).read_bytes()


@pytest.mark.parametrize(
    "name", ["../x.tar", "a/b.tar", "/x.tar", "..", ".x.tar", "x.tar\n", "x\0.tar", "a" * 300 + ".tar", "x.zip"]
)
def test_shard_names_lead_nowhere_else(tiny_set: Path, tmp_path: Path, name: str) -> None:
    """A shard's name is a plain file name: no folder, no dots in front, nothing odd."""

    def rename(content: Any) -> None:
        content["splits"][0]["shards"][0]["name"] = name

    with pytest.raises(DataError, match=r"splits\.0\.shards\.0\.name"):
        load(edited(tiny_set, tmp_path, rename))


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(extra=1),
        lambda content: content.update(format=2),
        lambda content: content.pop("classes"),
        lambda content: content["splits"][0].update(samples="480"),
        lambda content: content["splits"][0].update(samples=-1),
        lambda content: content["splits"][0]["shards"][0].update(samples=99),
        lambda content: content["splits"][0]["shards"][0].update(sha256="0" * 64),
        lambda content: content["classes"].reverse(),
        lambda content: content["splits"].append(content["splits"][0]),
    ],
)
def test_edited_manifest_is_refused(tiny_set: Path, tmp_path: Path, change: Any) -> None:
    """Unknown keys, wrong types, sums that do not add up and a foreign digest are errors that say what to do."""
    with pytest.raises(DataError, match="headrace index"):
        load(edited(tiny_set, tmp_path, change))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    """Any other content of the file is an error, not a traceback."""
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(DataError, match="manifest"):
        load(tmp_path)


def test_missing_set_says_how_to_make_one(tmp_path: Path) -> None:
    """No folder, a folder without a manifest, and a file are told apart; each names the next command."""
    (tmp_path / "file").write_bytes(b"")
    for path, words in ((tmp_path / "none", "no such folder"), (tmp_path, NAME), (tmp_path / "file", "not a folder")):
        with pytest.raises(UsageError, match=words) as error:
            load(path)
        assert "headrace prep" in str(error.value)
