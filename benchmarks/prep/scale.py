"""Measures the cost of 1.3 million images: the memory of prep, the seconds to open the set and to the first batch.

    python -m benchmarks.prep.scale [--images 1300000] [--tiny tiny-imagenet-200.zip] [--work FOLDER]

The images are JPEGs of hashed noise, 16 x 16 pixels, all with different bytes, in a zip with 1,000 class folders. The
same is done with TinyImageNet (given by --tiny, otherwise a drawn set of its size and number of classes). The
difference of the two is the cost of scale. Memory is the sum of the peak resident sets of prep's processes, which the
kernel records (VmHWM) and which are read every 20 ms. Shared pages count in each process, so the sum is an upper bound;
it does not depend on other load. Seconds do, so the two sets are opened in turns. Everything is made in a temporary
folder and removed.
"""

import json
import resource
import struct
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.processes import Run, call_apart, interleave
from benchmarks.harness.tables import Row, spread, turned
from benchmarks.prep.memory import watch_prep

VAL_SHARE = 26  # every 26th image is for validation: 50,000 of 1.3 million
KINDS = 512  # different pictures; a comment with a number gives each image its own bytes
SMALL, LARGE = "small", "scale"


def jpegs() -> Iterator[bytes]:
    """Yield small JPEGs without end, all with different bytes."""
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
    """Write a zip with train/CLASS/ and val/CLASS/ folders."""
    with zipfile.ZipFile(path, "w") as archive:
        for number, jpeg in zip(range(images), jpegs(), strict=False):
            split = "val" if number % VAL_SHARE == 0 else "train"
            name = f"{split}/n{number // VAL_SHARE % classes:05d}/{number:08d}.jpg"
            archive.writestr(zipfile.ZipInfo(name), jpeg)


def resident_bytes() -> int:
    """The resident memory of this process now; the peak of getrusage would include the parent's peak."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()


def open_set(shards: str) -> Run:
    """Measure in a process of its own, after imports: seconds to open the set, and to the first batch on a CPU."""
    from headrace.shards.order import Order, Steps
    from headrace.shards.shardset import ShardSet
    from headrace.train.input.assembly import Input
    from headrace.train.input.augment.views import Crop
    from headrace.train.input.plans import TrainPlans
    from headrace.train.machine.device import Accelerator
    from headrace.train.machine.place import Place
    from headrace.train.machine.world import World
    from headrace.train.run.process import keep_freed_memory

    keep_freed_memory()
    before, began = resident_bytes(), time.perf_counter()
    split = ShardSet.open(Path(shards)).split("train")
    at_open = time.perf_counter() - began
    memory = resident_bytes() - before
    crop = Crop((0.35, 1.0), (3 / 4, 4 / 3), 0.5)
    steps = Steps(len(split), 256, 32)
    plans = TrainPlans(split, Order(len(split), 0), steps, crop=crop, sizes=((0, 64),))
    made = Input(split, 32, Place(World(), Accelerator(None), 2))
    _, images = next(made.images(plans.stream(0, 1, range(8))))
    at_batch = time.perf_counter() - began
    if tuple(images.shape) != (32, 64, 64, 3):
        raise SystemExit(f"the first batch has the shape {tuple(images.shape)}")
    return {
        "open s": round(at_open, 3),
        "first batch s": round(at_batch, 3),
        "opened set MB": round(memory / 1e6),
    }


def prepare(source: Path, out: Path) -> Row:
    """Make a set; return the seconds and the memory that it took, and the size of the result."""
    taken = watch_prep(source, out)
    manifest = json.loads((out / "shardset.json").read_text("utf-8"))
    sizes = {path.name: path.stat().st_size for path in out.iterdir()}
    return {
        "samples": sum(split["samples"] for split in manifest["splits"]),
        "shards": sum(len(split["shards"]) for split in manifest["splits"]),
        **taken,
        "index MB": round(sum(size for name, size in sizes.items() if name.endswith(".parquet")) / 1e6, 1),
        "manifest KB": round(sizes["shardset.json"] / 1e3),
        "disk MB": round(sum(sizes.values()) / 1e6),
    }


def opening_columns(runs: Sequence[Run]) -> Row:
    """The medians and spreads of the figures of opening."""
    row: Row = {"n of opening": len(runs)}
    for name, digits in (("open s", 3), ("first batch s", 3), ("opened set MB", 0)):
        row |= spread(name, [run[name] for run in runs], digits, f"{name}, min to max")
    return row


def bytes_an_image(sets: Mapping[str, Row]) -> int:
    """The additional memory of prep for each additional image of the large set, in bytes."""
    megabytes, images = (sets[LARGE][name] - sets[SMALL][name] for name in ("all processes MB", "samples"))
    return int(megabytes * 1e6 / images)


def difference_rows(openings: Mapping[str, Sequence[Run]]) -> list[Row]:
    """The additional seconds that the large set takes, pair by pair."""
    rows = []
    for name in ("open s", "first batch s"):
        pairs = zip(openings[LARGE], openings[SMALL], strict=True)
        rows.append(
            {"what": name, **spread("more with scale", [large[name] - small[name] for large, small in pairs], 2)}
        )
    return rows


def main() -> None:
    """Draw the images, make the sets, and open them."""
    benchmark = Benchmark(__file__, __doc__, "scale", "The cost of a large set")
    benchmark.add("--images", type=int, default=1_300_000, help="images of the large set")
    benchmark.add("--small-images", type=int, default=110_000, help="images of the small set if --tiny is omitted")
    benchmark.add("--tiny", type=path, help="TinyImageNet, as a zip or a folder: the small set")
    benchmark.add("--work", type=path, help="a folder with 10 GB of space")
    benchmark.share(repeats=3)
    asked = benchmark.parse()
    with tempfile.TemporaryDirectory(dir=asked.work) as name:
        work = Path(name)
        sources = {SMALL: asked.tiny or work / "small.zip", LARGE: work / "large.zip"}
        if asked.tiny is None:
            draw(sources[SMALL], asked.small_images, 200)
        draw(sources[LARGE], asked.images, 1000)
        print(f"drawn: {sources[LARGE].stat().st_size:,} bytes", flush=True)
        sets = {size: prepare(source, work / size) for size, source in sources.items()}
        opening = {size: partial(call_apart, __file__, "open_set", work / size) for size in sources}
        openings = interleave(opening, asked.repeats)
    figures = {size: {**row, **opening_columns(openings[size])} for size, row in sets.items()}
    benchmark.note(**{"small set": "TinyImageNet" if asked.tiny else "drawn", "n of prep": 1})
    benchmark.note(**{"memory of prep for each image more, bytes": bytes_an_image(sets)})
    benchmark.write({"Both sets": turned(figures, "figure"), "The difference": difference_rows(openings)})


if __name__ == "__main__":
    main()
