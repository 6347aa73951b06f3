"""Small files that unpack to much text: prep holds a bounded part of it, and names the fault."""

import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.shards.manifest import load
from tests.checkout import ROOT
from tests.prep.contents import as_zip, small

LIMIT = 256 << 20
"""Bytes in memory at most, those of the interpreter and its libraries included."""
MEGABYTE = 1 << 20
# VmHWM, not getrusage: the latter counts what the parent had in memory when it started this process.
PROGRAM = """
import sys
from pathlib import Path
from headrace.cli import main
try:
    main()
finally:
    print([line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line], file=sys.stderr)
"""


def prep(*arguments: object) -> tuple[int, str, int]:
    """`headrace prep` in one process: its exit code, what it wrote to standard error, and its peak memory in bytes."""
    command = [sys.executable, "-c", PROGRAM, "prep", "--workers", "1", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    (peak,) = re.findall(r"VmHWM:\D*(\d+) kB", done.stderr)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr, int(peak) << 10


def bomb(path: Path, name: str, content: Iterable[bytes]) -> Path:
    """A small source as a zip, in which a text file has this content."""
    files = small()
    del files[name]
    as_zip(files, path)
    packed = zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1)
    with packed as archive, archive.open(f"tiny/{name}", "w") as member:
        for part in content:
            member.write(part)
    return path


def test_many_lines_of_words(tmp_path: Path) -> None:
    """Of a hundred megabytes of names only those of the classes are kept, even the last lines."""
    others = b"".join(b"n%06d\tsome other class\n" % number for number in range(MEGABYTE // 26))
    source = bomb(tmp_path / "a.zip", "words.txt", [*[others] * 100, b"n02\tshark\n"])
    assert source.stat().st_size < 16 * MEGABYTE
    code, _, peak = prep(source, tmp_path / "out")
    assert (code, [one.name for one in load(tmp_path / "out").classes]) == (0, ["n01", "shark", "n03"])
    assert peak < LIMIT


LONG: dict[str, tuple[str, Callable[[], Iterable[bytes]], str]] = {
    "one line of words": ("words.txt", lambda: [b"x" * MEGABYTE] * 300, "words.txt: a line of more than 1,048,576"),
    "one class": ("wnids.txt", lambda: [b"x" * MEGABYTE] * 300, "wnids.txt: a line of more than 1,048,576"),
    "equal classes": ("wnids.txt", lambda: [b"n01\n" * (MEGABYTE // 4)] * 300, "n01 in line 2 occurs again"),
    "many classes": (
        "wnids.txt",
        lambda: (b"".join(b"%d\n" % (part * 100_000 + n) for n in range(100_000)) for part in range(100)),
        "is one of more classes than files",
    ),
    "no class": ("wnids.txt", lambda: [b"\n" * MEGABYTE] * 30, "it lists none"),
    "equal labels": (
        "val/val_annotations.txt",
        lambda: [b"0_0.JPEG\tn01\t0\n" * (MEGABYTE // 16)] * 300,
        "line 2 is '0_0.JPEG",
    ),
    "no labels": ("val/val_annotations.txt", lambda: [b"\n" * MEGABYTE] * 30, "no label for val/images/0_0.JPEG"),
}


@pytest.mark.faults
@pytest.mark.parametrize("kind", LONG)
def test_text_of_every_kind(tmp_path: Path, kind: str) -> None:
    """A very long file of any of the three kinds gives an error in bounded memory, however its lines are."""
    name, content, words = LONG[kind]
    code, errors, peak = prep(bomb(tmp_path / "a.zip", name, content()), tmp_path / "out")
    assert (code, words in errors) == (3, True), errors
    assert peak < LIMIT


def test_many_equal_rows(tmp_path: Path) -> None:
    """A Parquet listing of millions of equal rows fails at the second row, in bounded memory."""
    source, rows = tmp_path / "a.parquet", 8_000_000
    (tmp_path / "a.jpg").touch()
    columns = {"path": pa.repeat("a.jpg", rows), "label": pa.repeat("a", rows)}
    pq.write_table(pa.table(columns), source, row_group_size=rows)
    assert source.stat().st_size < MEGABYTE
    code, errors, peak = prep(source, tmp_path / "out")
    assert (code, "row 2 (a.jpg): occurs twice" in errors) == (3, True), errors
    assert peak < LIMIT
