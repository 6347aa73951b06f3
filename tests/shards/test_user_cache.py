import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.shards.user_cache import private_folder

OTHER_USER = 65534


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache home that does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_made_for_the_user_alone(base: Path) -> None:
    """Both folders have mode 0700 whatever the umask, and the second call returns the same folder."""
    before = os.umask(0)
    try:
        found = private_folder("notes")
    finally:
        os.umask(before)
    assert found == base / "headrace/notes" == private_folder("notes")
    assert [_mode(path) for path in (found, found.parent)] == [0o700, 0o700]


@pytest.mark.parametrize("home", [None, "", "not/absolute"])
def test_without_xdg_it_is_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    """An unset or empty XDG_CACHE_HOME means ~/.cache; a relative one gives no folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if home is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", home)
    assert private_folder("notes") == (None if home else tmp_path / ".cache/headrace/notes")
    assert not (tmp_path / "not").exists()


def _link(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    folder.symlink_to("elsewhere")


def _others_may_write(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def _of_another_user(folder: Path) -> None:
    folder.mkdir()
    try:
        os.chown(folder, OTHER_USER, OTHER_USER)
    except PermissionError:
        pytest.skip("only root can give a folder to another user")


def _file(folder: Path) -> None:
    folder.write_bytes(b"")


@pytest.mark.parametrize("make", [_link, _others_may_write, _of_another_user, _file])
@pytest.mark.parametrize("which", ["headrace", "headrace/notes"])
def test_folder_that_is_not_the_users_alone_is_not_used(base: Path, which: str, make: Callable[[Path], None]) -> None:
    """A link, a file, and a folder that others own or may write to are not used."""
    assert private_folder("notes")
    (base / "headrace/notes").rmdir()
    if which == "headrace":
        (base / "headrace").rmdir()
    make(base / which)
    assert private_folder("notes") is None


def test_nowhere_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache home that cannot be made is not an error."""
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file/cache"))
    assert private_folder("notes") is None
