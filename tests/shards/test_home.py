"""Paths of the home folder in texts that may leave the machine."""

from pathlib import Path

import pytest

from headrace.shards.home import with_home, without_home


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("/house/al", "~"),
        ("/house/al/sets/a", "~/sets/a"),
        ("/house/al/", "~/"),
        ('runtime.cache_dir="/house/al/cache"', 'runtime.cache_dir="~/cache"'),
        ("results are in /house/al/run. Resume /house/al.", "results are in ~/run. Resume ~."),
        ("/house/alice/a", "/house/alice/a"),
        ("/house/al.old/a", "/house/al.old/a"),
        ("/house/al-2/a", "/house/al-2/a"),
        ("/disk/house/al/a", "/disk/house/al/a"),
        ("sets/house/al", "sets/house/al"),
        ("/disk/a", "/disk/a"),
    ],
)
def test_home_folder_is_written_as_a_tilde(monkeypatch: pytest.MonkeyPatch, text: str, written: str) -> None:
    """Only the home folder itself and what lies in it; folders whose names only begin like it are others."""
    monkeypatch.setenv("HOME", "/house/al")
    assert without_home(text) == written


def test_home_behind_a_link_has_two_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system names the current folder without links, so both paths are the home folder."""
    (tmp_path / "disk/al").mkdir(parents=True)
    (tmp_path / "al").symlink_to("disk/al")
    monkeypatch.setenv("HOME", str(tmp_path / "al"))
    assert without_home(f"{tmp_path}/al/a {tmp_path.resolve()}/disk/al/b") == "~/a ~/b"


@pytest.mark.parametrize("home", ["/", "relative"])
def test_without_a_home_folder_nothing_changes(monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    """The root of the file system is no home folder, as in some containers; neither is a relative path."""
    monkeypatch.setenv("HOME", home)
    assert without_home("/disk/a relative/b") == "/disk/a relative/b"


@pytest.mark.parametrize("path", ["~", "~/sets/a", "/disk/a", "a~", "~other/a", ""])
def test_folder_is_found_again(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """What was written is read as the same folder; other names with a tilde are names."""
    monkeypatch.setenv("HOME", "/house/al")
    assert without_home(with_home(path)) == path
    assert with_home(path).startswith("/house/al") == (path in {"~", "~/sets/a"})
