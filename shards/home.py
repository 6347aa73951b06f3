"""Shortens the path of the user's home folder to "~" in texts that may leave the machine, and expands "~" in paths."""

import os
import re
from pathlib import Path


def without_home(text: str) -> str:
    """The text with "~" in place of the home folder's path, both as given and with its symbolic links resolved.

    Paths outside the home folder are unchanged. If the user has no home folder, the whole text is unchanged.
    """
    home = os.path.expanduser("~")  # noqa: PTH111 - home() may raise
    if not Path(home).is_absolute():
        return text
    for one in sorted({home.rstrip("/"), os.path.realpath(home).rstrip("/")} - {""}, key=len, reverse=True):
        # A folder whose name is only longer, as alice or al.old is longer than al, is another one
        text = re.sub(rf"(?<![\w.~-]){re.escape(one)}(?![\w-]|\.[\w-])", "~", text)
    return text


def with_home(path: str) -> str:
    """The path with the home folder in place of a leading "~"."""
    own = path[:1] == "~" and path[1:2] in {"", "/", os.sep}
    return os.path.expanduser(path) if own else path  # noqa: PTH111 - as above


def folder_of(path: str | None) -> Path | None:
    """The folder at `path`, a value of a recipe that may begin with "~"; None if `path` is None."""
    return None if path is None else Path(with_home(path))
