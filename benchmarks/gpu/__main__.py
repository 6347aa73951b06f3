"""What the GPU path does and how fast: correctness, ladder, steps, epoch, memory, accuracy, profile.

    python -m benchmarks.gpu SHARDS [--parts correctness,ladder] [--out FILE]     needs a GPU, uses the first
    python -m benchmarks.gpu --dry --out FILE                                     every part on a CPU, tiny

Each part runs in a process of its own, so one that fails takes no other with it, and the result is written after
each. Measured results go to benchmarks/results; a dry run's never do.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.gpu import report
from benchmarks.gpu.setting import Setting
from benchmarks.harness.paths import RESULTS, ROOT

PARTS = {
    "correctness": "correctness",
    "ladder": "ladder",
    "steps": "steps",
    "epoch": "epoch",
    "memory": "memory",
    "accuracy": "accuracy",
    "profile": "kernels",
}
_LONGEST = 1800  # seconds a part may take


def main() -> int:
    """Run the parts that are asked for; 1 when one of them failed."""
    asked = _arguments()
    if asked.one:
        part = _measured(asked.one, Setting(asked.shards, asked.scratch, asked.dry))
        asked.out.write_text(json.dumps(part), "utf-8")
        return 0
    with tempfile.TemporaryDirectory(prefix="headrace-gpu-") as folder:
        scratch = Path(folder)
        shards = asked.shards or _drawn(scratch)
        command = (
            "python -m benchmarks.gpu " + ("--dry" if asked.dry else "SHARDS") + f" --parts {','.join(asked.parts)}"
        )
        facts = report.about(command, shards.name, dry=asked.dry)
        out = asked.out or RESULTS / f"gpu-{facts['date']}"
        parts: dict[str, dict[str, Any]] = {}
        for name in asked.parts:
            setting = Setting(shards, scratch, asked.dry)
            parts[name] = _measured(name, setting) if asked.in_process else _apart(name, setting)
            report.write(out, facts, parts)
            print(f"{name}: {parts[name].get('failed', 'done')} ({parts[name]['seconds']:.0f} s)", flush=True)
        print(out.with_suffix(".md"))
    return int(any("failed" in part for part in parts.values()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shards", type=Path, nargs="?", help="a shard set; a dry run draws its own where none is given")
    parser.add_argument("--parts", type=_parts, default=list(PARTS), help=f"of {','.join(PARTS)}; default: all")
    parser.add_argument(
        "--dry", action="store_true", help="tiny sizes on a CPU: shows that parts run, measures nothing"
    )
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
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return names


def _has_gpu() -> bool:
    from headrace.train.machine.device import Accelerator

    return Accelerator.look().count > 0


def _measured(name: str, setting: Setting) -> dict[str, Any]:
    """A part in this process: its method, tables and seconds."""
    began, module = time.perf_counter(), import_module(f"benchmarks.gpu.{PARTS[name]}")
    tables = module.run(setting)
    return {"method": module.__doc__, "seconds": time.perf_counter() - began, "tables": tables}


def _apart(name: str, setting: Setting) -> dict[str, Any]:
    """A part in a process of its own; where that fails, its last words."""
    found, began = setting.scratch / f"{name}.json", time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.gpu", str(setting.shards), "--one", name, "--out", str(found)]
    command += ["--scratch", str(setting.scratch), *(["--dry"] if setting.dry else [])]
    try:
        done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False, timeout=_LONGEST)
        words = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
    except subprocess.TimeoutExpired:
        words = [f"not done after {_LONGEST} s"]
    if found.exists():
        part: dict[str, Any] = json.loads(found.read_text("utf-8"))
        return part
    return {"method": "", "seconds": time.perf_counter() - began, "failed": words[-1]}


def _drawn(scratch: Path) -> Path:
    """A drawn shard set of 12 classes, for dry runs."""
    from headrace.prep.command.options import Options
    from headrace.prep.convert import prep
    from headrace.prep.sources.demo import demo_source

    source = demo_source(scratch / "drawn", 0, say=print, train=4, val=1)
    prep(source, scratch / "set", Options(), workers=1, if_exists="error", say=print)
    return scratch / "set"


if __name__ == "__main__":
    sys.exit(main())
