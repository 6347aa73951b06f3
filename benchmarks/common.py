"""What the benchmarks of training share: interleaved repetitions in fresh processes, and a result as a file."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT))
ENVIRONMENT = dict(os.environ)
"""What every contender starts with: as the user has it, before a module of ours sets anything in this process."""


def measured_by(script: str, *arguments: object, **environment: str) -> dict[str, float]:
    """The last line that `script ARGUMENTS` prints, as JSON, from a process of its own, with more environment."""
    command = [sys.executable, script, *map(str, arguments)]
    done = subprocess.run(command, env={**ENVIRONMENT, **environment}, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def interleaved(script: str, contenders: Sequence[str], repeats: int, *arguments: object) -> dict[str, list[Any]]:
    """The measurements of each contender, one after another in every repetition, so that load meets all alike."""
    found: dict[str, list[Any]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name in contenders:
            found[name].append(measured_by(script, "--contender", name, *arguments))
            print(f"{name}: {found[name][-1]}", file=sys.stderr, flush=True)
    return found


def rows(found: dict[str, list[Any]], first: str) -> list[dict[str, Any]]:
    """A line a contender: median and spread of images/s, CPU time an image, ratio to `first` pair by pair."""
    lines = []
    for name, runs in found.items():
        rates = [run["images_per_second"] for run in runs]
        ratios = [rate / base["images_per_second"] for rate, base in zip(rates, found[first], strict=True)]
        lines.append(
            {
                "contender": name,
                "n": len(rates),
                "images/s, median": round(statistics.median(rates)),
                "min to max": f"{min(rates):.0f} to {max(rates):.0f}",
                "CPU microseconds an image": round(statistics.median(run["cpu_microseconds"] for run in runs), 1),
                f"ratio to {first}, median": round(statistics.median(ratios), 3),
                "ratio, min to max": f"{min(ratios):.3f} to {max(ratios):.3f}",
            }
        )
    return lines


def table(lines: list[dict[str, Any]]) -> str:
    """Rows as Markdown."""
    head = ["| " + " | ".join(lines[0]) + " |", "|" + "---|" * len(lines[0])]
    return "\n".join([*head, *("| " + " | ".join(str(value) for value in line.values()) + " |" for line in lines)])


def facts(command: str, **more: Any) -> dict[str, Any]:
    """What a reader needs to judge or repeat the figures; nothing that names a place."""
    from headrace.train.machine.environment import commit, processor, usable_cores, versions

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


def write(name: str, title: str, about: dict[str, Any], method: str, tables: dict[str, list[dict[str, Any]]]) -> Path:
    """The result as NAME-DATE.json and .md under benchmarks/results."""
    path = RESULTS / f"{name}-{about['date']}.md"
    path.parent.mkdir(exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps({**about, "tables": tables}, indent=1) + "\n", "utf-8")
    parts = [f"# {title}", "", *(f"- {key}: {value}" for key, value in about.items())]
    if about["load before"] > 1:
        parts.append("- other programs were running on these cores: take the ratios, not the rates")
    parts += ["", method.strip(), ""]
    for heading, lines in tables.items():
        parts += [f"## {heading}", "", table(lines), ""]
    path.write_text("\n".join(parts), "utf-8")
    return path
