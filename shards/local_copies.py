"""Lists, checks and removes local files that can be made again, such as staged tars, decoded images and compiled loops.

Files in use are never removed. A process locks the staged files that it reads or fetches. For all other files, the
kernel tells whether a process has them open.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from headrace.shards import regular, store
from headrace.shards.errors import HeadraceError
from headrace.shards.in_use import files_in_use
from headrace.shards.manifest import FileInfo, Manifest
from headrace.shards.names import MANIFEST, SOURCE_URL
from headrace.shards.stage import DOCTOR, INDEX, PREP, VERIFY, Stage, Staged
from headrace.shards.stage_lock import remove_unused
from headrace.shards.user_cache import private_folder

_KINDS = {
    "loops": "compiled loops",
    "kernels": "compiled kernels",
    "columns": "columns of large sets",
    "resumed": "checkpoints from mirrors",
}
_COMMANDS = {
    PREP: "files of a prep to a URL",
    VERIFY: "files of a verify of a URL",
    INDEX: "files of an index of a URL",
    DOCTOR: "files of a doctor on a URL",
}
_DECODED = "decoded"

Say = Callable[[str], None]


class Copies(NamedTuple):
    """Files of one kind: description, location, number, size, and whether a process uses any of them."""

    what: str
    where: str
    files: int
    bytes: int
    used: bool


def note_decoded(path: Path) -> None:
    """Record the path of a file of decoded images, so that `headrace cache` finds the file."""
    folder = private_folder(_DECODED)
    if folder is not None:
        with suppress(HeadraceError):  # such as a full disk
            store.write_bytes(folder / hashlib.sha256(str(path).encode()).hexdigest(), f"{path.absolute()}\n".encode())


def list_copies(stage: Stage) -> list[Copies]:
    """All files on this machine that can be made again, by kind.

    There is one entry for the tars of each set, and one for all tars of unknown sets. There is also one for each file
    of decoded images, and for each other kind of files.
    """
    tars = {one.sha256: one for one in stage.tars()}
    found, of_sets, busy = [], set[str](), files_in_use()
    for folder in stage.set_folders():
        names, url = _set(folder)
        of_sets |= names
        mine = [tars[name] for name in names if name in tars]
        with stage.unused(folder) as unused:
            found.append(
                Copies(f"tars of {url}", folder.name[:16], len(mine), sum(one.bytes for one in mine), not unused)
            )
    if others := [one for name, one in tars.items() if name not in of_sets]:
        found.append(Copies("tars of unknown sets", "", len(others), sum(one.bytes for one in others), False))
    found += [_of_files("decoded images", [path], busy) for path in _decoded()]
    for kind, words in _KINDS.items():
        kept = private_folder(kind)
        if kept is not None and (files := _files(kept)):
            found.append(_of_files(words, files, busy)._replace(where=str(kept)))
    for command, words in _COMMANDS.items():
        folder = stage.work_folder(command)
        with stage.unused(folder) as unused:
            if files := _files(folder):
                found.append(_of_files(words, files, set())._replace(where=str(folder), used=not unused))
    return found


def _files(folder: Path) -> list[Path]:
    """All non-empty files below a folder. Lock files are empty, so they are omitted."""
    paths = (Path(above, name) for above, _, names in os.walk(folder) for name in names)
    return [path for path in paths if _size(path)]


def _size(path: Path) -> int:
    """The size of a file in bytes; 0 if it was removed meanwhile."""
    with suppress(OSError):
        return path.lstat().st_size
    return 0


def _of_files(what: str, files: list[Path], busy: set[str]) -> Copies:
    return Copies(what, str(files[0]), len(files), sum(map(_size, files)), any(_is_used(path, busy) for path in files))


def _is_used(path: Path, busy: set[str]) -> bool:
    """Whether a process has the file open; `busy` contains the paths of all open files, with links resolved."""
    return os.path.realpath(path) in busy


def clear_copies(stage: Stage) -> int:
    """Remove all files that `list_copies` lists and no process uses. Returns the number of freed bytes."""
    freed = sum(one.bytes for one in _unheld(stage) if remove_unused(one.path))
    for folder in [*stage.set_folders(), *map(stage.work_folder, _COMMANDS)]:
        with stage.unused(folder) as unused:
            if unused:
                freed += sum(map(_size, _files(folder)))
                shutil.rmtree(folder, ignore_errors=True)
    busy = files_in_use()
    kept = [folder for folder in map(private_folder, _KINDS) if folder is not None]
    files = [*_decoded(), *(path for folder in kept for path in _files(folder))]
    for path in files:
        if not _is_used(path, busy):
            with suppress(OSError):
                size = _size(path)
                path.unlink()
                freed += size
    return freed


def _unheld(stage: Stage) -> list[Staged]:
    """The staged tars that are not in the manifest of any set that a process uses."""
    held: set[str] = set()
    for folder in stage.set_folders():
        with stage.unused(folder) as unused:
            if not unused:
                held |= _set(folder)[0]
    return [one for one in stage.tars() if one.sha256 not in held]


def verify_copies(stage: Stage, say: Say) -> int:
    """Hash all staged tars and indexes; return the number of damaged files.

    Each damaged file is reported with `say`, and removed if no process uses it. Decoded images and compiled loops are
    checked each time they are read.
    """
    damaged = [path for path, sha256 in [*_whole(stage), *_indexes(stage)] if _hash(path) not in (sha256, None)]
    for path in damaged:
        gone = remove_unused(path)
        say(f"{path}: damaged; {'removed' if gone else 'kept, because a process uses it'}")
    return len(damaged)


def _whole(stage: Stage) -> Iterator[tuple[Path, str]]:
    yield from ((one.path, one.sha256) for one in stage.tars() if one.whole)


def _indexes(stage: Stage) -> Iterator[tuple[Path, str]]:
    for folder in stage.set_folders():
        for manifest in _manifests(folder):
            infos: list[FileInfo] = [split.index for split in manifest[1].splits]
            yield from ((manifest[0].with_name(info.name), info.sha256) for info in infos)


def _hash(path: Path) -> str | None:
    """The SHA-256 of a file; None if it was removed meanwhile, "" if it is unreadable."""
    try:
        with regular.opened(path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return None
    except OSError:
        return ""  # it cannot be read, so it is useless


def _manifests(folder: Path) -> list[tuple[Path, Manifest]]:
    found = []
    for path in sorted(folder.glob(f"*/{MANIFEST}")):
        with suppress(OSError, ValidationError):
            found.append((path, Manifest.model_validate_json(regular.read(path))))
    return found


def _set(folder: Path) -> tuple[set[str], str]:
    """The SHA-256 of all tars of the fetched set in a folder, and the URL of the set."""
    manifests = _manifests(folder)
    names = {shard.sha256 for _, one in manifests for split in one.splits for shard in split.shards}
    url = "an unfinished set"
    for path, _ in manifests:
        with suppress(OSError):
            url = path.with_name(SOURCE_URL).read_text("utf-8").strip()
    return names, url


def _decoded() -> list[Path]:
    """The recorded files of decoded images that still exist; records of missing files are removed."""
    folder = private_folder(_DECODED)
    found = []
    for note in sorted(folder.iterdir()) if folder else []:
        with suppress(OSError, ValueError):
            path = Path(note.read_text("utf-8").strip())
            if path.is_file() and path.suffix == ".rgb":
                found.append(path)
            elif not path.exists():
                note.unlink()
    return found
