"""The file `source.stat`: one line for each part of a set, with the location and the stamp of the part's source.

The line also has the options of prep. A stamp identifies the state of a source: the next prep compares stamps instead
of the contents of files. The advice for a damaged set takes the source's location from this file. The set's digest
does not depend on this file.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.shards import regular
from headrace.shards.home import with_home, without_home
from headrace.shards.names import STAMP
from headrace.shards.urls import Location

Stamp = dict[str, Any]


def stamp_of(where: Location | str, stamp: str, options: Mapping[str, object]) -> bytes:
    """The line of a part with this stamp and these options, whose source is at `where`.

    In the line, "~" stands for the home folder.
    """
    return (json.dumps({"source": without_home(str(where)), "stamp": stamp, "options": options}) + "\n").encode()


def parse(content: bytes) -> list[Stamp]:
    """The stamps, in the order of the parts; an empty stamp for a part whose line is missing or damaged."""
    return [_parsed(line) for line in content.splitlines()]


def read(root: Path) -> list[Stamp]:
    """The stamps of the set in folder `root`; an empty list if the set has no `source.stat`."""
    try:
        return parse(regular.read(root / STAMP))
    except OSError:
        return []


def with_line(content: bytes, number: int, line: bytes) -> bytes:
    """The content of the file with `line` for part `number` (counted from 0); the other lines are unchanged."""
    lines = content.splitlines()
    lines += [b"{}"] * (number - len(lines))
    lines[number : number + 1] = [line.rstrip()]
    return b"".join(one + b"\n" for one in lines)


def same_source(one: Stamp, other: Stamp) -> bool:
    """Whether two stamps have the same source in the same state.

    Options are not compared: stamps of old versions lack them.
    """
    return [source_of(one), one.get("stamp")] == [source_of(other), other.get("stamp")]


def source_of(stamp: Stamp) -> Any:
    """The location of the source: an absolute path or a URL. For a damaged stamp, the result may be any value."""
    source = stamp.get("source")
    return with_home(source) if isinstance(source, str) else source


def _parsed(line: bytes) -> Stamp:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
