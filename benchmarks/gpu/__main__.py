"""Measures the GPU path, with a part for each question in README.md.

    python -m benchmarks.gpu SHARDS [--parts correctness,steps] [--seconds 540] [--out FILE]    on the first GPU
    python -m benchmarks.gpu --dry --out FILE                                                   on a CPU, tiny

Each part runs in a process of its own, so the failure of one part ends no other. A row is written to OUT.PART.jsonl as
soon as it is measured, and the result is written again after each part. Measurements that would not end in time are
omitted and named. The standard error of a failed part is kept in OUT.PART.stderr. Measured results go to
benchmarks/results; results of dry runs never do.
"""

import argparse
import math
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.gpu import report
from benchmarks.gpu.lines import LEFT_OUT, Lines
from benchmarks.gpu.setting import Setting
from benchmarks.harness.paths import RESULTS, ROOT

PARTS = {
    "machine": "machine",
    "correctness": "correctness",
    "validation": "validation",
    "memory": "memory",
    "steps": "steps",
    "epoch": "epoch",
    "profile": "kernels",
    "copies": "copies",
    "determinism": "determinism",
    "ladder": "ladder",
    "decoder": "decoder",
    "sizes": "sizes",
    "ranks": "ranks",
    "accuracy": "accuracy",
}
"""The parts by importance, for a machine that is available for ten minutes only."""
_OVERTIME = 60  # seconds after its time at which a part is killed


def main() -> int:
    """Run the requested parts; return 1 if one of them failed."""
    asked = _arguments()
    ends = time.monotonic() + asked.seconds
    if asked.one:
        _measure(asked.one, Setting(asked.shards, asked.scratch, asked.dry, ends), Lines(asked.out))
        return 0
    with tempfile.TemporaryDirectory(prefix="headrace-gpu-") as folder:
        scratch = Path(folder)
        shards = asked.shards or _drawn(scratch)
        command = (
            "python -m benchmarks.gpu " + ("--dry" if asked.dry else "SHARDS") + f" --parts {','.join(asked.parts)}"
        )
        facts = report.about(command, shards.name, dry=asked.dry)
        out = asked.out or RESULTS / f"gpu-{facts['date']}"
        out.parent.mkdir(parents=True, exist_ok=True)
        parts: dict[str, dict[str, Any]] = {}
        for name in asked.parts:
            setting = Setting(shards.resolve(), scratch, asked.dry, ends)
            parts[name] = _part(name, setting, out, in_process=asked.in_process)
            report.write(out, facts, parts)
            print(f"{name}: {parts[name].get('failed', 'done')} ({parts[name]['seconds']:.0f} s)", flush=True)
        print(out.with_suffix(".md"))
    return int(any("failed" in part for part in parts.values()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shards", type=Path, nargs="?", help="a shard set; without one, a dry run draws its own")
    parser.add_argument("--parts", type=_parts, default=list(PARTS), help=f"of {','.join(PARTS)}; default: all")
    parser.add_argument(
        "--dry", action="store_true", help="tiny sizes on a CPU: shows that parts run, measures nothing"
    )
    parser.add_argument("--seconds", type=float, default=math.inf, help="seconds for all parts; nothing longer begins")
    parser.add_argument("--out", type=Path, help="file of the result, without its ending")
    parser.add_argument("--in-process", action="store_true", help="all parts in this process")
    parser.add_argument("--one", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.dry and (asked.out is None or RESULTS in asked.out.resolve().parents):
        parser.error("a dry run measures nothing: give --out, outside benchmarks/results")
    if not asked.dry and asked.shards is None:
        parser.error("give SHARDS, or --dry")
    if not asked.dry and not _has_gpu():
        parser.error("torch sees no GPU, and nothing is measured without one; --dry runs every part on a CPU")
    return asked


def _parts(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in PARTS]:
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(unknown)}; the parts are {', '.join(PARTS)}")
    return names


def _has_gpu() -> bool:
    from headrace.train.machine.device import Accelerator

    return Accelerator.look().count > 0


def _measure(name: str, setting: Setting, lines: Lines) -> None:
    """Measure a part in this process, row by row."""
    for table, row in import_module(f"benchmarks.gpu.{PARTS[name]}").run(setting):
        lines.add(table, row)


def _part(name: str, setting: Setting, out: Path, *, in_process: bool) -> dict[str, Any]:
    """Run a part; return its method, seconds and tables and, if it failed, the last line of its standard error."""
    rows, began = Path(f"{out}.{name}.jsonl"), time.perf_counter()
    rows.unlink(missing_ok=True)
    lines, failed = Lines(rows), ""
    if not setting.has_time(0):
        lines.add(LEFT_OUT, {"part": name})
    elif in_process:
        _measure(name, setting, lines)
    else:
        failed = _apart(name, setting, rows)
    method = "" if failed and not lines.tables() else import_module(f"benchmarks.gpu.{PARTS[name]}").__doc__
    part = {"method": method or "", "seconds": time.perf_counter() - began, "tables": lines.tables()}
    return {**part, "failed": failed} if failed else part


def _apart(name: str, setting: Setting, rows: Path) -> str:
    """Run a part in a process of its own; return the last line of its standard error if it fails, else ""."""
    left = setting.ends - time.monotonic()
    command = [sys.executable, "-m", "benchmarks.gpu", str(setting.shards), "--one", name, "--out", str(rows)]
    command += ["--scratch", str(setting.scratch), "--seconds", str(left), *(["--dry"] if setting.dry else [])]
    said = rows.with_suffix(".stderr")
    with said.open("w+", encoding="utf-8") as stderr:
        try:
            longest = None if math.isinf(left) else left + _OVERTIME
            code = subprocess.run(command, cwd=ROOT, stderr=stderr, check=False, timeout=longest).returncode
        except subprocess.TimeoutExpired:
            return f"killed {_OVERTIME} s after its time"
    if not code:
        said.unlink()
        return ""
    return (said.read_text("utf-8").strip().splitlines() or [f"ended with {code}"])[-1]


def _drawn(scratch: Path) -> Path:
    """Make a shard set of drawn images in 12 classes, for dry runs; return its folder."""
    from headrace.prep.command.options import Options
    from headrace.prep.convert import prep
    from headrace.prep.sources.demo import demo_source

    source = demo_source(scratch / "drawn", 0, say=print, train=4, val=1)
    prep(source, scratch / "set", Options(), workers=1, if_exists="error", say=print)
    return scratch / "set"


if __name__ == "__main__":
    sys.exit(main())
