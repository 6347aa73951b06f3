"""Rows of a part as lines of a file, each written at once: a part that is killed keeps those that it has."""

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness.tables import Row

LEFT_OUT = "left out: no time"


class Lines:
    """A file of one part's rows, in the order in which they were measured."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, table: str, row: Row) -> None:
        """Write a row of a table, so that it is there from now on."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([table, row]) + "\n")

    def tables(self) -> dict[str, list[Row]]:
        """The rows that are there, by table; a line that was cut is none."""
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
