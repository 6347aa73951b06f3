import json
from pathlib import Path
from typing import Any

import pytest

from headrace.shards.errors import DataError, NewerError, UsageError
from headrace.shards.manifest import FORMAT, NAME, load


def edited(tiny_set: Path, folder: Path, change: Any) -> Path:
    """A folder with the manifest of the tiny set after `change`."""
    content = json.loads((tiny_set / NAME).read_bytes())
    change(content)
    (folder / NAME).write_text(json.dumps(content))
    return folder


def test_reads_back_what_was_written(tiny_set: Path) -> None:
    """A manifest that was read is rendered to the same bytes."""
    assert load(tiny_set).render() == (tiny_set / NAME).read_bytes()


@pytest.mark.parametrize(
    "name", ["../x.tar", "a/b.tar", "/x.tar", "..", ".x.tar", "x.tar\n", "x\0.tar", "a" * 300 + ".tar", "x.zip"]
)
def test_shard_names_lead_nowhere_else(tiny_set: Path, tmp_path: Path, name: str) -> None:
    """The name of a shard is a plain file name: no folder, no leading dot, no odd characters."""

    def rename(content: Any) -> None:
        content["splits"][0]["shards"][0]["name"] = name

    with pytest.raises(DataError, match=r"splits\.0\.shards\.0\.name"):
        load(edited(tiny_set, tmp_path, rename))


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(format=0),
        lambda content: content.update(sourcf=content.pop("source")),
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
    """Wrong types, damaged keys, wrong totals and a foreign digest are errors that say what to do."""
    with pytest.raises(DataError, match="headrace index"):
        load(edited(tiny_set, tmp_path, change))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content.update(format=FORMAT + 1), f"a format above {FORMAT}"),
        (lambda content: content.update(format=99, classes={}, more=1), f"a format above {FORMAT}"),
        (lambda content: content.update(more=1), "a field that this version does not know, more"),
        (lambda content: content.update(format=1, more=1), "does not know, more"),
        (lambda content: content["classes"][1].update(parent="a"), r"does not know, classes\.1\.parent"),
        (lambda content: content["splits"][0].update(weights="w"), r"does not know, splits\.0\.weights"),
        (lambda content: content["splits"][0]["shards"][0].update(part=1), r"splits\.0\.shards\.0\.part"),
        (lambda content: content["splits"][0]["index"].update(rows=1), r"splits\.0\.index\.rows"),
        (lambda content: content["source"].update(parts=2), r"source\.parts"),
    ],
)
def test_newer_manifest_is_not_called_damaged(tiny_set: Path, tmp_path: Path, change: Any, words: str) -> None:
    """A later format, whatever else it holds, and an unknown field at any depth only ask for an upgrade."""
    with pytest.raises(NewerError, match=f"{NAME}: it has .*{words}.*: made by a newer Headrace: upgrade") as caught:
        load(edited(tiny_set, tmp_path, change))
    assert "damaged" not in str(caught.value)
    assert "`" not in str(caught.value), "no command: there is nothing to mend"
    assert caught.value.exit_code == 3


def test_digest_does_not_depend_on_the_format(tiny_set: Path, tmp_path: Path) -> None:
    """The same content has the same digest in every version of the manifest format."""
    assert load(tiny_set).format == FORMAT
    older = load(edited(tiny_set, tmp_path, lambda content: content.update(format=1)))
    assert (older.format, older.digest) == (1, load(tiny_set).digest)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file with any other content gives an error, not a traceback."""
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(DataError, match="manifest"):
        load(tmp_path)


def test_missing_set_says_how_to_make_one(tmp_path: Path) -> None:
    """A missing folder, a folder without a manifest, and a file get different errors that name the next command."""
    (tmp_path / "file").write_bytes(b"")
    for path, words in ((tmp_path / "none", "no such folder"), (tmp_path, NAME), (tmp_path / "file", "not a folder")):
        with pytest.raises(UsageError, match=words) as error:
            load(path)
        assert "headrace prep" in str(error.value)
