"""Finds the source files of a module and of all modules that it imports, directly or indirectly."""

import hashlib
import re
import sys
import time
from functools import cache
from pathlib import Path

_TOP, _ROOM = __name__.partition(".")[0], __name__.rpartition(".")[0]
_OURS = {_TOP: Path(__file__).resolve().parents[3]}  # the folder of Headrace's package, by its name

# The package's __init__ loads modules on demand; the other two decide where compiled code is stored, not its content.
_LEFT_OUT = (_TOP, f"{_ROOM}.kept", f"{_ROOM}.origins")
_FROM = re.compile(r"^[ \t]*from[ \t]+([\w.]+)[ \t]+import[ \t]*(\([^)]*\)|[^\n]*)", re.MULTILINE)
_IMPORT = re.compile(r"^[ \t]*import[ \t]+([^\n]*)", re.MULTILINE)
_BEGAN = time.time()


@cache
def stamp(module: str) -> str | None:
    """Return a hash of the source files of a loaded module and its imports, or None if the loaded source is uncertain.

    The source is uncertain if a file cannot be read, as for interactive input, or if a file has changed since this
    process began: the loaded code may then be older than the file.
    """
    total = hashlib.sha256()
    try:
        for path in sorted(files(module)):
            if path.stat().st_ctime > _BEGAN:
                return None
            total.update(hashlib.sha256(path.read_bytes()).digest())
    except (OSError, UnicodeDecodeError):
        return None
    return total.hexdigest()


def files(module: str) -> set[Path]:
    """Return the file of a loaded module and the files of all its imports from Headrace or from the same package.

    Raises OSError if the module has no readable file.
    """
    own = Path(getattr(sys.modules.get(module), "__file__", None) or module).resolve()
    found: dict[Path, str] = {own: own.read_text(encoding="utf-8")}
    inside = module.count(".") + (own.stem == "__init__")
    packages = _OURS | ({module.partition(".")[0]: own.parents[inside - 1]} if inside else {})
    waiting = _imported(found[own])
    while waiting:
        name = waiting.pop()
        path = _file(name, packages.get(name.partition(".")[0]))
        if path is not None and path not in found and name not in _LEFT_OUT:
            found[path] = path.read_text(encoding="utf-8")
            waiting += _imported(found[path])
    return set(found)


def _file(name: str, package: Path | None) -> Path | None:
    """Return the file of the module `name`, or None if missing; `package` is the folder of its top-level package."""
    if package is None:
        return None
    path = package.joinpath(*name.split(".")[1:])
    return next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()), None)


def _imported(text: str) -> list[str]:
    """Return all names in the import statements of a source text, and the packages that contain these names.

    Some of the names are functions or constants instead of modules.
    """
    names = [name for line in _IMPORT.findall(text) for name in re.findall(r"[\w.]+", line)]
    for package, members in _FROM.findall(text):
        names += [package, *(f"{package}.{member}" for member in re.findall(r"\w+", members))]
    parts = [name.split(".") for name in names]
    return [".".join(part[:length]) for part in parts for length in range(1, len(part) + 1)]
