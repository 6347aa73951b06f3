import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.shards import remedy
from headrace.shards.names import STAMP

WORDS = st.text(st.characters(exclude_characters="\0`/", exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(st.dictionaries(WORDS, WORDS | st.integers() | st.none(), max_size=3), WORDS, st.lists(WORDS, min_size=1))
def test_a_command_is_only_what_it_seems(options: dict[str, object], folder: str, tars: list[str]) -> None:
    """Whatever the options in a manifest and the names of folders, a shell reads them as words of the command."""
    root = Path("/nowhere") / folder
    said = remedy.of_tars(root, ["x.tar"], [options]).partition("`")[2].removesuffix("`")
    chosen = [(name, value) for name, value in sorted(options.items()) if value is not None]
    words = [word for name, value in chosen for word in ("--" + name.replace("_", "-"), str(value))]
    assert shlex.split(said) == ["headrace", "prep", "SOURCE", str(root), *words, "--if-exists", "rebuild"]
    expected = ["rm", str(root / "shardset.json"), "&&", "headrace", "index", str(root)]
    assert shlex.split(remedy._without(root, tars)) == expected


@pytest.mark.parametrize(
    "stamp",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 99_999,
        b'{"source": 1, "options": 2}',
        b'{"source": "/a\\u0000"}',
        b'{"source": "."}',
    ],
)
def test_any_stamp_gives_a_line(tmp_path: Path, stamp: bytes) -> None:
    """A senseless stamp gives a command with the placeholder SOURCE and no options."""
    (tmp_path / STAMP).write_bytes(stamp)
    assert f"`headrace prep SOURCE {tmp_path} --if-exists rebuild`" in remedy.of_manifest(tmp_path)
