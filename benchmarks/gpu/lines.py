"""Writes the rows of a part to a file, each at once, so that they are kept if the part is killed."""

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness.tables import Row

LEFT_OUT = "left out: no time"


class Lines:
    """A file with the rows of one part, in the order in which they were measured."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, table: str, row: Row) -> None:
        """Append a row of a table to the file."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([table, row]) + "\n")

    def tables(self) -> dict[str, list[Row]]:
        """The rows in the file, by table; an incomplete line is ignored."""
        found: dict[str, list[Row]] = {}
        for table, row in self._rows():
            found.setdefault(table, []).append(row)
        return found

    def _rows(self) -> Iterator[tuple[str, Row]]:
        if not self._path.exists():
            return
        for line in self._path.read_text("utf-8").splitlines():
            try:
                table, row = json.loads(line)
            except ValueError:
                continue
            yield table, row
