"""Compares the rate of prep with the writers of webdataset, streaming and litData.

    python -m benchmarks.prep.writers SOURCE [--repeats 3] [--classes N] [--work FOLDER]

Contenders run one after another in every repetition, each in a process of its own, so that other load on the machine
affects all of them. CPU time is that of the process and its workers; on a busy machine, trust it instead of the rates.
The other writers receive the images from the same reader as prep and do not decode them. Prep decodes every image,
hashes it, and flushes its files to the disk. mosaicml-streaming and litdata are not requirements of this project:
contenders whose packages are missing are omitted, and the result names them. The time of each contender includes the
start of its processes and their imports (streaming and litData load PyTorch). So use --classes only to try the script,
not for results. benchmarks/prep/contenders.py has the contenders.
"""

import io
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.processes import Run, child, interleave, time_command
from benchmarks.harness.stopwatch import time_steps
from benchmarks.harness.tables import Row, rate_rows
from benchmarks.prep import contenders
from benchmarks.prep.contenders import CLASSES, CONTENDERS, installed

TAR_SAMPLES = 20_000
OURS, OUR_TAR = "headrace prep", "headrace.shards.tar.TarWriter (and its SHA-256)"


def write_all(source: Path, contender: str, work: Path, count: int, classes: str) -> Run:
    """Run a contender in a fresh process; return its rate, and the bytes of its files for each of `count` samples."""
    out = Path(tempfile.mkdtemp(dir=work))
    os.sync()
    taken = time_command(child(contenders.__file__, "run", source, contender, out), {CLASSES: classes})
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    shutil.rmtree(out)
    rate, cpu = count / taken["seconds"], 1e6 * taken["cpu_seconds"] / count
    return {"images_per_second": rate, "cpu_microseconds": cpu, "bytes": size / count}


def tar_writers(source: Path) -> dict[str, Callable[[], Run]]:
    """Functions that write the same samples to tars in memory, with Headrace's writer and with webdataset's."""
    import webdataset

    from headrace.shards.tar import TarWriter

    held = [sample[1:] for sample in islice(contenders.samples(source), TAR_SAMPLES)]

    def ours() -> int:
        writer = TarWriter(io.BytesIO())
        for key, jpeg, label in held:
            writer.add(key, jpeg, label)
        writer.close()
        return len(held)

    def theirs() -> int:
        writer = webdataset.TarWriter(io.BytesIO(), mtime=0)
        for key, jpeg, label in held:
            writer.write({"__key__": key, "jpg": jpeg, "cls": label})
        writer.close()
        return len(held)

    writers = {OUR_TAR: ours, "webdataset.TarWriter, mtime=0": theirs}
    return {name: partial(time_steps, write, 0) for name, write in writers.items()}


def prep_rows(runs: dict[str, list[Run]], count: int) -> list[Row]:
    """A row for each contender, with the number of samples and the bytes per sample on the disk."""
    sizes = {name: round(own[-1]["bytes"]) for name, own in runs.items()}
    return [{**row, "samples": count, "bytes a sample": sizes[row["contender"]]} for row in rate_rows(runs, OURS)]


def main() -> None:
    """Measure all contenders that can run here."""
    benchmark = Benchmark(__file__, __doc__, "prep", "From a source to shards")
    benchmark.add("source", type=path, help="TinyImageNet, as a zip or a folder")
    benchmark.add("--classes", type=int, help="only the first classes of the source")
    benchmark.share(repeats=3)
    temporary = Path(tempfile.gettempdir())
    benchmark.add("--work", type=path, default=temporary, help="a folder on the disk to measure")
    asked = benchmark.parse()
    os.environ[CLASSES] = classes = str(asked.classes or "")
    missing = [contender.title for contender in CONTENDERS.values() if not installed(contender)]
    benchmark.note(**{"not installed here, so left out": ", ".join(missing) or "none"})
    count = sum(1 for _ in contenders.samples(asked.source))  # also brings the source into the page cache
    writers = {
        contender.title: partial(write_all, asked.source, name, asked.work, count, classes)
        for name, contender in CONTENDERS.items()
        if installed(contender)
    }
    runs = interleave(writers, asked.repeats)
    tars = interleave(tar_writers(asked.source), 2 * asked.repeats + 1)
    tables = {"From the source to shards": prep_rows(runs, count)}
    benchmark.write({**tables, "Tar writers alone, into memory": rate_rows(tars, OUR_TAR)})


if __name__ == "__main__":
    main()
