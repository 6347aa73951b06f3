"""How fast prep is, side by side with webdataset's, streaming's and litData's own writers.

    python benchmarks/bench_prep.py SOURCE [--repeats 3] [--classes N] [--work FOLDER]

Contenders run one after another in every repetition, each in a process of its own, so that other load on the machine
meets all of them. Wall seconds and CPU seconds (the process and its workers) are both taken; on a busy machine trust
the CPU seconds. The other writers get the images from the same reader as prep and do not decode them; prep decodes
every image, hashes it, and flushes its files to the disk. mosaicml-streaming and litdata are no requirements of this
project: what the Python that runs this lacks is left out, and the result says so. Each contender's seconds include
the start of its processes and their imports (streaming and litData load PyTorch), which is why --classes is for
trying the script and not for its result. benchmarks/prep_contenders.py has the contenders.
"""

import argparse
import io
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import prep_contenders  # noqa: E402
from benchmarks.prep_contenders import CLASSES, CONTENDERS, installed  # noqa: E402

TAR_SAMPLES = 20_000
Timing = tuple[float, float]  # wall seconds, CPU seconds


def timed(source: Path, contender: str, work: Path) -> tuple[Timing, int]:
    """Wall and CPU seconds of one contender in a fresh process, and the bytes of its tars."""
    out = Path(tempfile.mkdtemp(dir=work))
    command = [sys.executable, prep_contenders.__file__, str(source), contender, str(out)]
    os.sync()
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    if status:
        raise SystemExit(f"{contender} failed with status {status}")
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    shutil.rmtree(out)
    return (wall, usage.ru_utime + usage.ru_stime), size


def tar_writers(source: Path, repeats: int) -> dict[str, list[Timing]]:
    """Seconds to write the same samples into memory, our writer against webdataset's."""
    from itertools import islice

    import webdataset

    from headrace.shards.tar import TarWriter

    held = [one[1:] for one in islice(prep_contenders.samples(source), TAR_SAMPLES)]

    def ours() -> None:
        writer = TarWriter(io.BytesIO())
        for key, jpeg, label in held:
            writer.add(key, jpeg, label)
        writer.close()

    def theirs() -> None:
        writer = webdataset.TarWriter(io.BytesIO(), mtime=0)
        for key, jpeg, label in held:
            writer.write({"__key__": key, "jpg": jpeg, "cls": label})
        writer.close()

    timings: dict[str, list[Timing]] = {
        "headrace.shards.tar.TarWriter (and its SHA-256)": [],
        "webdataset.TarWriter, mtime=0": [],
    }
    for _ in range(repeats):
        for name, contender in zip(timings, (ours, theirs), strict=True):
            timings[name].append(stopwatch(contender))
    return timings


def stopwatch(work: Callable[[], None]) -> Timing:
    """Wall and CPU seconds of a call in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def machine() -> dict[str, Any]:
    """What the figures depend on, and nothing that names a place."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    model = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
    git = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    packages = ("simplejpeg", "numpy", "pyarrow", *{one.package: 0 for one in CONTENDERS.values() if installed(one)})
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "commit": subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip(),
        "load before": round(os.getloadavg()[0], 2),
    }


def row(name: str, count: int, timings: list[Timing], base: list[Timing]) -> dict[str, Any]:
    """One line of the result: medians, spread, and the ratio to the first contender, repetition by repetition."""
    walls, cpus = zip(*timings, strict=True)
    ratios = [one[0] / other[0] for one, other in zip(timings, base, strict=True)]
    return {
        "contender": name,
        "n": len(timings),
        "samples": count,
        "wall median s": round(statistics.median(walls), 2),
        "wall spread s": [round(min(walls), 2), round(max(walls), 2)],
        "cpu median s": round(statistics.median(cpus), 2),
        "images/s": round(count / statistics.median(walls)),
        "wall ratio to the first": round(statistics.median(ratios), 2),
        "cpu ratio to the first": round(
            statistics.median(one[1] / other[1] for one, other in zip(timings, base, strict=True)), 2
        ),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as Markdown."""
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    return "\n".join([*lines, *("| " + " | ".join(str(value) for value in one.values()) + " |" for one in rows)])


def measure(source: Path, repeats: int, work: Path) -> dict[str, Any]:
    """All contenders, interleaved."""
    about = machine()
    names = {name: one.title for name, one in CONTENDERS.items() if installed(one)}
    missing = [one.title for one in CONTENDERS.values() if not installed(one)]
    timings: dict[str, list[Timing]] = {name: [] for name in names}
    sizes = {}
    count = sum(1 for _ in prep_contenders.samples(source))  # also brings the source into the page cache
    for _ in range(repeats):
        for name, title in names.items():
            timing, sizes[name] = timed(source, name, work)
            timings[name].append(timing)
            print(f"{title}: {timing[0]:.2f} s wall, {timing[1]:.2f} s CPU", flush=True)
    rows = [row(names[name], count, timings[name], timings["headrace"]) for name in names]
    for one, name in zip(rows, names, strict=True):
        one["bytes a sample"] = round(sizes[name] / count)
    writers = tar_writers(source, 2 * repeats + 1)
    base = next(iter(writers.values()))
    return {
        "command": f"python benchmarks/bench_prep.py {source.name} --repeats {repeats}"
        + (f" --classes {os.environ[CLASSES]}" if CLASSES in os.environ else ""),
        **about,
        "not installed here, so left out": ", ".join(missing) or "none",
        "prep": rows,
        "tar writers": [row(name, min(TAR_SAMPLES, count), found, base) for name, found in writers.items()],
    }


def write(result: dict[str, Any], date: str) -> Path:
    """The result as JSON and as Markdown."""
    path = ROOT / "benchmarks" / "results" / f"prep-{date}.md"
    path.parent.mkdir(exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    facts = [f"- {name}: {value}" for name, value in result.items() if name not in {"prep", "tar writers"}]
    if result["load before"] > 1:
        facts.append("- other programs were running on these cores: take the ratios, not the seconds")
    parts = [f"# prep, {date}", "", *facts, "", (__doc__ or "").split("\n\n", 2)[2].strip(), ""]
    parts += ["## From the source to shards", "", table(result["prep"]), ""]
    parts += ["## Tar writers alone, into memory", "", table(result["tar writers"]), ""]
    path.write_text("\n".join(parts), "utf-8")
    return path


def main() -> None:
    """Run all contenders."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path, help="TinyImageNet, as a zip or a folder")
    parser.add_argument("--classes", type=int, help="only the first classes of the source")
    parser.add_argument("--repeats", type=int, default=3, help="repetitions of every contender")
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()), help="a folder on the disk to measure"
    )
    asked = parser.parse_args()
    if asked.classes:
        os.environ[CLASSES] = str(asked.classes)
    print(write(measure(asked.source, asked.repeats, asked.work), datetime.now(UTC).date().isoformat()))


if __name__ == "__main__":
    main()
