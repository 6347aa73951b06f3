"""Compares prep of Parquet files that contain images with prep of the same images in folders: seconds of commands.

    python -m benchmarks.prep.embedded TINY [--rows 25000 50000 100000] [--repeats 2] [--work FOLDER]

TINY is TinyImageNet as a zip. Its first training images, in the order of a hash, are written as Hugging Face's datasets
writes them (image: {bytes, path}, label with names, row groups of 1,000 rows), and to a folder for each class. Whole
commands are timed in turns: wall seconds, and CPU seconds of the process and its workers. A straight line through the
seconds by number of rows predicts the time for 1.3 million rows. Both sets must have the same images. Everything is
made in a temporary folder and removed.
"""

import hashlib
import json
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.processes import Run, interleave, time_command
from benchmarks.harness.tables import Row, spread

LARGE = 1_300_000
GROUP = 1000  # rows


def images(tiny: Path, rows: int) -> Iterator[tuple[str, str, bytes]]:
    """Yield the class, the name and the bytes of this many training images, in mixed order."""
    with zipfile.ZipFile(tiny) as archive:
        names = [name for name in archive.namelist() if "/train/" in f"/{name}" and name.endswith(".JPEG")]
        names.sort(key=lambda name: hashlib.sha256(name.encode()).digest())
        for name in names[:rows]:
            last = name.rpartition("/")[2]
            yield last.partition("_")[0], last, archive.read(name)


def as_parquet(tiny: Path, rows: int, target: Path) -> Path:
    """Write these images to a Parquet file; return its path."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    classes = sorted({label for label, _, _ in images(tiny, rows)})
    features = {"image": {"_type": "Image"}, "label": {"names": classes, "_type": "ClassLabel"}}
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pa.schema([("image", image), ("label", pa.int64())], metadata=about)
    group: list[dict[str, object]] = []
    with pq.ParquetWriter(target, schema) as writer:
        for label, name, data in images(tiny, rows):
            group.append({"image": {"bytes": data, "path": name}, "label": classes.index(label)})
            if len(group) == GROUP:
                writer.write_table(pa.Table.from_pylist(group, schema))
                group = []
        if group:
            writer.write_table(pa.Table.from_pylist(group, schema))
    return target


def as_folder(tiny: Path, rows: int, target: Path) -> Path:
    """Write these images to a folder for each class; return the folder of all."""
    for label, name, data in images(tiny, rows):
        (target / label).mkdir(parents=True, exist_ok=True)
        (target / label / name).write_bytes(data)
    return target


def time_prep(source: Path, out: Path) -> Run:
    """Run prep of this source and remove its set; return the seconds of the command."""
    run = time_command([sys.executable, "-m", "headrace", "prep", str(source), str(out), "--val-fraction", "0"])
    shutil.rmtree(out)
    return run


def sums(source: Path, out: Path) -> list[str]:
    """The SHA-256 of each image in the set made from a source, sorted."""
    import numpy as np

    from headrace.shards.shardset import ShardSet

    time_command([sys.executable, "-m", "headrace", "prep", str(source), str(out), "--val-fraction", "0"])
    split = ShardSet.open(out).split("train")
    found = sorted(hashlib.sha256(jpeg.tobytes()).hexdigest() for jpeg in split.jpegs(np.arange(len(split))))
    shutil.rmtree(out)
    return found


def fitted(times: Mapping[int, float], rows: int) -> float:
    """The seconds that a line fitted to these times predicts for this many rows."""
    count, seconds = len(times), list(times.values())
    middle, mean = sum(times) / count, sum(seconds) / count
    slope = sum((x - middle) * (y - mean) for x, y in times.items()) / sum((x - middle) ** 2 for x in times)
    return mean + slope * (rows - middle)


def row_of(rows: int, form: str, runs: Sequence[Run]) -> Row:
    """The row of one form of the source with this many images."""
    row: Row = {"rows": rows, "form": form, "n": len(runs)}
    for name in ("seconds", "cpu_seconds"):
        row |= spread(name.replace("_", " "), [run[name] for run in runs], 2, f"{name.replace('_', ' ')}, min to max")
    return row


def main() -> None:
    """Write and check the sources, time prep, and fit the line."""
    benchmark = Benchmark(__file__, __doc__, "prep-embedded", "Parquet files that contain images")
    benchmark.add("tiny", type=path, help="TinyImageNet as a zip")
    benchmark.add("--rows", type=int, nargs="+", default=[25_000, 50_000, 100_000], help="numbers of images")
    benchmark.add("--work", type=path, help="a folder with 2 GB of space")
    benchmark.share(repeats=2)
    asked = benchmark.parse()
    table: list[Row] = []
    middle: dict[str, dict[int, float]] = {"Parquet": {}, "folder": {}}
    with tempfile.TemporaryDirectory(dir=asked.work) as name:
        work = Path(name)
        for rows in asked.rows:
            parquet = as_parquet(asked.tiny, rows, work / "train.parquet")
            folder = as_folder(asked.tiny, rows, work / "folder")
            if rows == min(asked.rows) and sums(parquet, work / "out") != sums(folder, work / "out"):
                raise SystemExit("the two sets have different images")
            sources = {"Parquet": parquet, "folder": folder}
            turns = {form: lambda source=source: time_prep(source, work / "out") for form, source in sources.items()}
            for form, runs in interleave(turns, asked.repeats).items():
                table.append(row_of(rows, form, runs))
                middle[form][rows] = sorted(run["seconds"] for run in runs)[len(runs) // 2]
            shutil.rmtree(folder)
    fits: list[Row] = [
        {"form": form, "rows": LARGE, "seconds by the fit": round(fitted(times, LARGE))}
        for form, times in middle.items()
    ]
    benchmark.write({"Whole commands": table, f"A line through them, at {LARGE:,} rows": fits})


if __name__ == "__main__":
    main()
