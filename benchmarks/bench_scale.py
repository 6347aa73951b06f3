"""What 1.3 million images cost: memory of prep, seconds to open the set and to training's first batch.

    python benchmarks/bench_scale.py [--images 1300000] [--tiny tiny-imagenet-200.zip] [--work FOLDER]

The images are JPEGs of hashed noise, 16 x 16 pixels, each with bytes of its own, in a zip of 1,000 class folders. The
same steps are taken with TinyImageNet (given by --tiny, else a drawn set of its size and number of classes), and the
difference of the two is the cost of scale. Memory is the peak resident set that the kernel keeps for each process
(VmHWM), read every 20 ms and added up over prep's processes: shared pages count in each, so the sum is an upper
bound, and it does not depend on other load. Seconds do. Everything is made in a temporary folder and removed.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
VAL_SHARE = 26  # every 26th image is for validation: 50,000 of 1.3 million
KINDS = 512  # different pictures; a comment with a number gives each image its own bytes
Figures = dict[str, Any]


def jpegs() -> Iterator[bytes]:
    """Endless small JPEGs, all different."""
    import numpy as np

    from headrace.prep.images.admit import encode
    from headrace.shards.draws import Stream, hash64

    noise = hash64(0, Stream.PREP, np.arange(KINDS * 96)).view(np.uint8).reshape(KINDS, 16, 16, 3)
    pictures = [encode(one, 60) for one in noise]
    number = 0
    while True:
        picture = pictures[number % KINDS]
        yield picture[:2] + b"\xff\xfe" + struct.pack(">HQ", 10, number) + picture[2:]
        number += 1


def draw(path: Path, images: int, classes: int) -> None:
    """A zip of train/CLASS/ and val/CLASS/ folders."""
    with zipfile.ZipFile(path, "w") as archive:
        for number, jpeg in zip(range(images), jpegs(), strict=False):
            split = "val" if number % VAL_SHARE == 0 else "train"
            name = f"{split}/n{number // VAL_SHARE % classes:05d}/{number:08d}.jpg"
            archive.writestr(zipfile.ZipInfo(name), jpeg)


def peak(process: int) -> int:
    """Peak resident bytes of a process so far; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")), 0)


def family(process: int) -> list[int]:
    """A process and its children."""
    try:
        tasks = Path(f"/proc/{process}/task").glob("*/children")
        return [process, *(int(child) for task in tasks for child in task.read_text("ascii").split())]
    except OSError:
        return [process]


def prep(source: Path, out: Path) -> Figures:
    """`headrace prep` with its defaults: seconds, and the peaks of its processes."""
    command = [sys.executable, str(ROOT / "cli.py"), "prep", str(source), str(out)]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peaks: dict[int, int] = {}
    while process.poll() is None:
        for one in family(process.pid):
            peaks[one] = peak(one) or peaks.get(one, 0)  # not the larger: before its exec a child has its parent's peak
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"prep of {source.name} ended with {process.returncode}")
    workers = [value for one, value in peaks.items() if one != process.pid]
    return {
        "prep s": round(time.perf_counter() - began, 1),
        "main process MB": round(peaks[process.pid] / 1e6),
        "largest worker MB": round(max(workers, default=0) / 1e6),
        "all processes MB": round(sum(peaks.values()) / 1e6),
    }


def resident_bytes() -> int:
    """Memory of this process that lies in RAM now: getrusage's peak begins with that of the parent."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()


def opened(shards: Path) -> Figures:
    """In a fresh process: seconds to open the set, and to the first batch of training on the CPU, after imports."""
    from headrace.shards.order import Order, Steps
    from headrace.shards.shardset import ShardSet
    from headrace.train.input.augment.views import Crop
    from headrace.train.input.decode.pipeline import ImagePipeline
    from headrace.train.input.plans import TrainPlans
    from headrace.train.machine.device import Accelerator
    from headrace.train.run.process import keep_freed_memory

    keep_freed_memory()
    before, began = resident_bytes(), time.perf_counter()
    split = ShardSet.open(shards).split("train")
    at_open = time.perf_counter() - began
    memory = resident_bytes() - before
    crop = Crop((0.35, 1.0), (3 / 4, 4 / 3), 0.5)
    steps = Steps(len(split), 256, 32)
    plans = TrainPlans(split, Order(len(split), 0), steps, crop=crop, sizes=((0, 64),))
    pipeline = ImagePipeline(split, 32, Accelerator(None), threads=2, decode="cpu")
    _, images = next(pipeline.run(plans.stream(0, 1, range(8))))
    at_batch = time.perf_counter() - began
    if tuple(images.shape) != (32, 64, 64, 3):
        raise SystemExit(f"the first batch has the shape {tuple(images.shape)}")
    return {
        "open s": round(at_open, 3),
        "first batch s": round(at_batch, 3),
        "opened set MB": round(memory / 1e6),
    }


def measured(source: Path, work: Path, repeats: int) -> Figures:
    """One data set from source to first batch; opening is repeated, and the best time counts."""
    out = work / "set"
    figures = prep(source, out)
    manifest = json.loads((out / "shardset.json").read_text("utf-8"))
    command = [sys.executable, __file__, "--opened", str(out)]
    runs = [
        json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        for _ in range(repeats)
    ]
    sizes = {path.name: path.stat().st_size for path in out.iterdir()}
    shutil.rmtree(out)
    return {
        "samples": sum(split["samples"] for split in manifest["splits"]),
        "shards": sum(len(split["shards"]) for split in manifest["splits"]),
        **figures,
        **{name: min(run[name] for run in runs) for name in runs[0]},
        "index MB": round(sum(size for name, size in sizes.items() if name.endswith(".parquet")) / 1e6, 1),
        "manifest KB": round(sizes["shardset.json"] / 1e3),
        "disk MB": round(sum(sizes.values()) / 1e6),
    }


def about(arguments: argparse.Namespace) -> Figures:
    """What the figures depend on, and nothing that names a place."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    git = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    tiny = f" --tiny {arguments.tiny.name}" if arguments.tiny else ""
    return {
        "command": f"python benchmarks/bench_scale.py --images {arguments.images}{tiny}",
        "commit": subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip(),
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("numpy", "pyarrow", "simplejpeg", "nvidia-dali-cuda120")},
        "n": f"prep once, opening {arguments.repeats} times (the best counts)",
        "load before": round(os.getloadavg()[0], 2),
    }


def verdict(small: Figures, large: Figures) -> list[str]:
    """What scale costs, in sentences."""
    more = large["samples"] - small["samples"]
    memory = (large["all processes MB"] - small["all processes MB"]) * 1e6 / more
    opening, first = (large[name] - small[name] for name in ("open s", "first batch s"))
    whole = f"{large['all processes MB']:,} MB in all processes together, {memory:,.0f} bytes for each image more"
    seconds = f"open: {opening:+.2f} s against the smaller set; first batch: {first:+.2f} s (the goal is below 3 s)"
    return [f"prep of {large['samples']:,} images: at most {whole}", seconds]


def write(result: Figures) -> Path:
    """The result as JSON and as Markdown."""
    date = datetime.now(UTC).date().isoformat()
    path = ROOT / "benchmarks" / "results" / f"scale-{date}.md"
    path.parent.mkdir(exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    sets = result["sets"]
    rows = [f"| {name} | " + " | ".join(f"{one[name]:,}" for one in sets.values()) + " |" for name in sets["scale"]]
    facts = [f"- {name}: {value}" for name, value in result["about"].items()]
    if result["about"]["load before"] > 1:
        facts.append("- other programs were running on these cores: the seconds are too long, the memory is right")
    parts = [f"# scale, {date}", "", *facts, "", (__doc__ or "").split("\n\n", 2)[2].strip(), ""]
    parts += [f"| | {' | '.join(sets)} |", "|---" * (len(sets) + 1) + "|", *rows, "", *result["verdict"], ""]
    path.write_text("\n".join(parts), "utf-8")
    return path


def main() -> None:
    """Draw, prepare, open; or be one of the processes that this takes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=1_300_000, help="images of the large set")
    parser.add_argument("--tiny", type=Path, help="TinyImageNet, as a zip or a folder")
    parser.add_argument("--repeats", type=int, default=3, help="times that each set is opened")
    parser.add_argument("--work", type=Path, help="a folder with 10 GB of space")
    parser.add_argument("--opened", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.opened:
        print(json.dumps(opened(asked.opened)))
        return
    result: Figures = {"about": about(asked), "sets": {}}
    with tempfile.TemporaryDirectory(dir=asked.work) as name:
        work = Path(name)
        tiny = asked.tiny or work / "small.zip"
        if asked.tiny is None:
            draw(tiny, 110_000, 200)
        result["sets"]["TinyImageNet" if asked.tiny else "its size, drawn"] = measured(tiny, work, asked.repeats)
        draw(work / "large.zip", asked.images, 1000)
        print(f"drawn: {(work / 'large.zip').stat().st_size:,} bytes", flush=True)
        result["sets"]["scale"] = measured(work / "large.zip", work, asked.repeats)
    result["verdict"] = verdict(*result["sets"].values())
    print("\n".join([str(write(result)), *result["verdict"]]))


if __name__ == "__main__":
    main()
