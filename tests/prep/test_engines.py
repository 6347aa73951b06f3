"""`headrace prep --engine`: what is refused before anything is made. Ray itself is tried in tests/extras/engine_ray."""

import sys
from pathlib import Path

import pytest

from headrace.prep.make.engines.ray_session import refuse_silent
from headrace.shards.errors import UsageError
from tests.e2e.commands import here, refused
from tests.prep.contents import as_folder, small


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--ray-address", "head:6379"], "--ray-address needs --engine ray"),
        (["--engine", "ray", "--part", "1/2"], "--part cannot be combined with --engine ray"),
        (["--engine", "ray", "--plan-only"], "--plan-only cannot be combined with --engine ray"),
        (["--engine", "dask"], "'dask' is not one of 'pool', 'ray'"),
    ],
)
def test_what_does_not_go_together(tmp_path: Path, words: list[str], expected: str) -> None:
    """Ends with 2; nothing is made."""
    done = here("prep", as_folder(small(), tmp_path / "in"), tmp_path / "out", *words)
    assert (done.code, expected in done.stderr) == (2, True), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_url_as_out(tmp_path: Path) -> None:
    """Hosts share a folder; for a URL there are parts."""
    done = here("prep", tmp_path, "s3://bucket/set", "--engine", "ray")
    assert (done.code, "OUT must be a folder that all hosts share. For a URL, use --part" in done.stderr) == (2, True)


def test_missing_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that says what to install; nothing is made."""
    monkeypatch.setitem(sys.modules, "ray", None)
    source = as_folder(small(), tmp_path / "in")
    refused(here("prep", source, tmp_path / "out", "--engine", "ray"), 2, "pip install 'headrace[ray]'")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("address", ["auto", "local", "ray://head:10001", "head", "head:", ":6379", "head:port", "[:1"])
def test_what_is_no_address(address: str) -> None:
    """Such as the address of Ray Client, which a command cannot use."""
    with pytest.raises(UsageError, match=r"not the address of a cluster. Give HOST:PORT"):
        refuse_silent(address)


def test_head_that_does_not_answer() -> None:
    """Nothing listens on port 9 here."""
    with pytest.raises(UsageError, match=r"--ray-address 127.0.0.1:9: no answer \(Connection refused\)"):
        refuse_silent("127.0.0.1:9")
