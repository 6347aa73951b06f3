"""Measures the plan of a listing, and the writing of its indexes: seconds, and memory, which should not grow.

    python -m benchmarks.prep.plan [--images 1000000 10000000] [--work FOLDER]

Each row of the CSV listing has one of a thousand labels and a path of 62 characters. The paths are different ways to
write those of 512 JPEGs (with segments "./" and ".//"), so that every file exists without taking space. Each part is
one process: `plan` reads the listing, stats each file and makes the plan, with a tenth of every class for validation;
`join` makes the indexes, the fingerprint and the manifest from invented records with a row for each sample. Memory is
the peak resident set of the process, which the kernel records (VmHWM). All files are removed.
"""

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.processes import Run, call_apart
from benchmarks.harness.tables import Row

KINDS, CLASSES, BITS = 512, 1000, 25


def write_listing(folder: Path, images: int) -> Path:
    """Write the listing and its images; return the path of the listing."""
    import numpy as np

    from headrace.prep.images.admit import encode

    folder.mkdir()
    for kind in range(KINDS):
        noise = np.random.default_rng(kind).integers(0, 256, (64, 64, 3), np.uint8)
        (folder / f"{kind:04}.jpg").write_bytes(encode(noise))
    found = folder / "list.csv"
    with found.open("w", encoding="ascii") as stream:
        stream.write("path,label\n")
        for number in range(images):
            dots = "".join("./" if number >> bit & 1 else ".//" for bit in range(BITS))
            stream.write(f"{dots}{number % KINDS:04}.jpg,{number * 7919 % CLASSES}\n")
    return found


def plan(listing: str, room: str) -> Run:
    """Make the plan in the folder `room`; return the seconds and the peak memory."""
    from headrace.prep.command.options import Options
    from headrace.prep.make.planning import plan_source
    from headrace.prep.sources.detect import open_files

    options = Options(val_fraction=0.1)
    began = time.perf_counter()
    files = open_files(Path(listing), Path(room).parent, options)
    files.stamp()
    read = time.perf_counter() - began
    Path(room).mkdir()
    plan_source(files, options, Path(room), 1, print)
    files.close()
    return {"read and stat s": read, "sort s": time.perf_counter() - began - read, "peak MB": peak()}


def peak() -> float:
    """The peak resident set of this process in MB; that of getrusage would include the parent's peak."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024 / 1e6


def make_records(room: str, folder: str) -> Run:
    """Make records of all shards of a plan with invented rows, in a process of its own whose memory does not count."""
    import numpy as np

    from headrace.prep.make.planned import load_plan
    from headrace.prep.make.record import Contents, Record, Written, digest_of, save_record
    from headrace.shards.sample import ROW

    made = load_plan(Path(room))
    if made is None:
        raise SystemExit("no plan")
    for job in (job for jobs in made.jobs().values() for job in jobs):
        listed, rows = made.listed(job), np.zeros(job.samples, ROW)
        rows["sha256"] = np.random.default_rng(job.first).integers(0, 256, (job.samples, 32), np.uint8)
        rows["label"], rows["shard"], rows["size"] = listed.labels, job.number, listed.files.sizes
        rows["offset"] = np.arange(job.samples) * 4096 + 512
        crcs = np.random.default_rng(job.first).integers(0, 1 << 32, job.samples, np.uint32)
        contents = Contents(rows, np.arange(job.samples), crcs, listed.files.times)
        written = Written("0" * 64, 1, 0)
        save_record(Record(job.name, digest_of(listed), job.samples, written, written), contents, Path(folder))
    return {}


def join(listing: str, room: str, records: str, out: str) -> Run:
    """Write all files beside the tars; return the seconds and the peak memory."""
    from headrace.prep.command.options import Options
    from headrace.prep.make import publish
    from headrace.prep.make.planned import load_plan
    from headrace.prep.make.record import load_header
    from headrace.prep.make.shard import Work
    from headrace.prep.sources.files import UNKNOWN_CRC, Entry, FileTable
    from headrace.prep.sources.folder import FolderReader

    began, made, root = time.perf_counter(), load_plan(Path(room)), Path(listing)
    if made is None:
        raise SystemExit("no plan")
    reader = FolderReader(root.parent, "")
    work = Work(Path(out), Path(records), made, reader, Options(val_fraction=0.1))
    found = {job.name: load_header(Path(records), job.name) for jobs in made.jobs().values() for job in jobs}
    others = FileTable.of([Entry(root.name, root.stat().st_size, UNKNOWN_CRC, 0, 0, 0)])
    written = publish.write_set(work, "listing", others, found, [], b"")
    return {"join s": time.perf_counter() - began, "peak MB": peak(), "samples": written.manifest.samples}


def measure(folder: Path, images: int) -> Row:
    """Measure both parts for a listing with this many rows."""
    listing, room, records, out = write_listing(folder, images), folder / "plan", folder / "records", folder / "out"
    planned: Any = call_apart(__file__, "plan", listing, room)
    records.mkdir()
    out.mkdir()
    call_apart(__file__, "make_records", room, records)
    joined: Any = call_apart(__file__, "join", listing, room, records, out)
    row: Row = {
        "images": images,
        "read and stat s": round(planned["read and stat s"], 1),
        "plan, sorting s": round(planned["sort s"], 1),
        "plan, peak MB": round(planned["peak MB"]),
        "plan, disk MB": round(sum(one.stat().st_size for one in room.iterdir()) / 1e6),
        "join s": round(joined["join s"], 1),
        "join, peak MB": round(joined["peak MB"]),
    }
    shutil.rmtree(folder)
    print(row, flush=True)
    return row


def main() -> None:
    """Measure each size."""
    benchmark = Benchmark(__file__, __doc__, "prep-plan", "The plan of a listing, and the writing of its indexes")
    benchmark.add("--images", type=int, nargs="+", default=[1_000_000, 10_000_000], help="rows of the listings")
    benchmark.add("--work", type=path, help="a folder with 1.5 KB of space per row")
    asked = benchmark.parse()
    with tempfile.TemporaryDirectory(dir=asked.work) as name:
        rows = [measure(Path(name) / str(images), images) for images in asked.images]
    benchmark.note(n=1)
    benchmark.write({"By images": rows})


if __name__ == "__main__":
    main()
