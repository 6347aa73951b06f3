"""Writes a result as a file for programs and a page for readers."""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness.tables import Row, markdown

BUSY = 1.0
"""If the load before the first measurement is higher, the result says that other programs were running."""


def facts(command: str, **more: Any) -> dict[str, Any]:
    """The facts that a reader needs to judge or repeat the figures, without paths of the machine."""
    from headrace.shards.cores import usable_cores
    from headrace.train.record.installation import commit, processor, versions

    return {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "processor": processor(),
        "cores": usable_cores(),
        "load before": round(os.getloadavg()[0], 2),
        **more,
        "versions": ", ".join(f"{name} {number}" for name, number in versions().items()),
    }


def heading(title: str, about: Mapping[str, Any]) -> list[str]:
    """The first lines of a page: its title, and a line for each fact."""
    lines = [f"# {title}", "", *(f"- {key}: {value}" for key, value in about.items())]
    if about["load before"] > BUSY:
        lines.append("- other programs were running on these cores: take the ratios, not the rates")
    return [*lines, ""]


def write(
    path: Path, title: str, about: Mapping[str, Any], method: str, tables: Mapping[str, Sequence[Row]], **more: Any
) -> Path:
    """Write the result to PATH.json, together with `more`, and to PATH.md; return the path of the latter."""
    parts = [*heading(title, about), method.strip(), ""]
    for name, rows in tables.items():
        parts += [f"## {name}", "", markdown(rows), ""]
    write_pair(path, {**about, "tables": tables, **more}, parts)
    return path.with_name(f"{path.name}.md")


def write_pair(path: Path, values: Mapping[str, Any], lines: Sequence[str]) -> None:
    """Write PATH.json with the values and PATH.md with the lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f"{path.name}.json").write_text(json.dumps(values, indent=1) + "\n", "utf-8")
    path.with_name(f"{path.name}.md").write_text("\n".join(lines), "utf-8")
