"""Reading Parquet files starts none of Arrow's threads.

One that lets go of a Python object while the interpreter ends aborts the process after its work is done
(https://github.com/apache/arrow/issues/34314).
"""

import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.train.record.page.runs import drawn_run

CODE = """
import sys
from pathlib import Path
from headrace.cli import main
import headrace.train.record.predictions
def threads():
    names = map(Path.read_text, Path("/proc/self/task").glob("*/comm"))
    return [name for name in names if "jemalloc" not in name]
{first}
before = threads()
{code}
print("threads:", len(before), len(threads()))
"""
COMMAND = "main(sys.argv[1:], standalone_mode=False)"


def threads(code: str, *arguments: str | Path, first: str = "") -> tuple[int, int]:
    """How many threads a process of its own has before and after the code, that of jemalloc not counted."""
    command = [sys.executable, "-c", CODE.format(first=first, code=code), *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"{done.stdout}{done.stderr}")
    before, after = done.stdout.rsplit("threads:", 1)[1].split()
    return int(before), int(after)


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_reading_a_set_starts_no_thread(tiny_set: Path, command: str) -> None:
    """Indexes are read by the thread that asks."""
    before, after = threads(COMMAND, command, tiny_set)
    assert after == before


def test_reading_predictions_starts_no_thread(tmp_path: Path) -> None:
    """`headrace report` and `headrace runs` read validation.parquet so."""
    drawn_run(tmp_path / "run")
    code = "headrace.train.record.predictions.Predictions.read(Path(sys.argv[1]))"
    before, after = threads(code, tmp_path / "run/validation.parquet")
    assert after == before


def test_reading_a_source_starts_no_thread(tiny_zip: Path, tmp_path: Path) -> None:
    """A listing as Parquet, and Parquet files with images."""
    with zipfile.ZipFile(tiny_zip) as archive:
        names = [name for name in archive.namelist() if name.endswith(".JPEG")][:40]
        archive.extractall(tmp_path, names)
        images = [{"bytes": archive.read(name), "path": name} for name in names]
    labels = [f"c{number % 2}" for number in range(len(names))]
    (tmp_path / "images").mkdir()
    pq.write_table(pa.table({"image": images, "label": labels}), tmp_path / "images/train.parquet")
    pq.write_table(pa.table({"path": names, "label": labels}), tmp_path / "listing.parquet")
    for source in ("listing.parquet", "images"):
        before, after = threads(
            COMMAND, "prep", tmp_path / source, tmp_path / f"{source}-set", "--workers", "1", "--val-fraction", "0.1"
        )
        assert after == before, source


def test_threads_of_arrow_would_be_seen(tiny_set: Path) -> None:
    """The count sees them, if they are there."""
    code = 'pyarrow.parquet.ParquetFile(Path(sys.argv[1]) / "train.parquet").read()'
    before, after = threads(code, tiny_set, first="import pyarrow.parquet")
    assert after > before
