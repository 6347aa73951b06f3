"""A plan has equal bytes for any number of buckets and any order of a listing, and holds no rows in memory."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.prep.command.options import Options
from headrace.prep.make.planned import PATHS, ROWS, Plan
from headrace.prep.make.planning import plan_source
from headrace.prep.sources import table
from headrace.prep.sources.detect import open_files
from tests.checkout import ROOT
from tests.prep.contents import as_folder, as_zip, small
from tests.prep.test_convert import contents, make, quiet

NAMES = [
    "Zürich.jpg",
    "a b.jpg",
    "a/ü.jpg",
    "a/~.jpg",
    "a/é.jpg",
    "b-1.jpg",
    "b/1.jpg",
    "ß.jpg",
    "漢/字.jpg",
    "Ω.jpg",
]
OPTIONS = [
    Options(samples_per_shard=3, val_fraction=0.3),
    Options(samples_per_shard=4, val_fraction=0.2, per_class=4, seed=3),
    Options(samples_per_shard=4, val_fraction=0, classes=2, seed=2**63 - 1),
]


def listing(tmp_path: Path, rows: list[tuple[str, str]]) -> Path:
    """A listing of these paths and labels, beside its images."""
    picture = small()["train/n01/images/n01_0.JPEG"]
    for path, _ in rows:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(picture)
    found = tmp_path / "list.csv"
    found.write_text("path,label\n" + "".join(f"{path},{label}\n" for path, label in rows), encoding="utf-8")
    return found


def planned(source: Path, folder: Path, options: Options) -> Plan:
    """The plan of a source, made in a new folder."""
    folder.mkdir()
    files = open_files(source, folder, options)
    try:
        return plan_source(files, options, folder, 1, quiet).plan
    finally:
        files.close()


@pytest.mark.parametrize("options", OPTIONS)
def test_listing_and_folder_have_one_plan(tmp_path: Path, options: Options) -> None:
    """Any order of rows, buckets and chunks give one plan, as does a folder of the same files and classes."""
    rows = [(f"{label}/{name}", label) for label in ("ant", "bee", "cat") for name in NAMES]
    plans = []
    for turn in range(4):
        random.Random(turn).shuffle(rows)
        with pytest.MonkeyPatch.context() as patch:
            if turn:
                patch.setattr(table, "_BUCKET", 4 * turn)
            source = listing(tmp_path / "in", rows)
            plans.append(planned(source, tmp_path / f"plan-{turn}", options))
    splits = [path.name for path in plans[0].folder.glob(f"*{PATHS}")]
    assert {"train.paths", "all.files.paths"} <= set(splits)
    for plan in plans[1:]:
        assert plan.id == plans[0].id
        for name in splits:
            assert (plan.folder / name).read_bytes() == (plans[0].folder / name).read_bytes()
    (tmp_path / "in" / "list.csv").unlink()
    folder = planned(tmp_path / "in", tmp_path / "plan-folder", options)
    assert [(one.split, one.samples) for jobs in folder.jobs().values() for one in jobs] == [
        (one.split, one.samples) for jobs in plans[0].jobs().values() for one in jobs
    ]
    for name in splits:
        assert (folder.folder / name).read_bytes() == (plans[0].folder / name).read_bytes()


@pytest.mark.parametrize("bucket", [1, 3, 1000])
def test_set_is_the_same_for_any_number_of_buckets(tmp_path: Path, bucket: int) -> None:
    """The set is also the same from a zip, whose directory is in memory."""
    (tmp_path / "in").mkdir()
    source = as_zip(small(), tmp_path / "in" / "a.zip")
    make(source, tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "_BUCKET", bucket)
        make(source, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_rows_of_a_plan_do_not_depend_on_times(tmp_path: Path) -> None:
    """Two copies of a source have the same id, though the tables store the times of each copy."""
    ids = {planned(as_folder(small(), tmp_path / f"in-{k}"), tmp_path / f"plan-{k}", Options()).id for k in range(2)}
    assert len(ids) == 1
    assert (tmp_path / f"plan-0/train{ROWS}").read_bytes() != (tmp_path / f"plan-1/train{ROWS}").read_bytes()


PROGRAM = """
import re, sys
from pathlib import Path
from headrace.prep.command.options import Options
from headrace.prep.make.planning import plan_source
from headrace.prep.sources import table
from headrace.prep.sources.detect import open_files
table._BUCKET = 1 << 14
options = Options(val_fraction=0.1)
folder = Path(sys.argv[2])
folder.mkdir()
files = open_files(Path(sys.argv[1]), folder, options)
files.stamp()
plan_source(files, options, folder, 1, print)
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def names(count: int) -> list[str]:
    """Several ways to write the path of one file."""
    return ["".join("./" if number >> bit & 1 else ".//" for bit in range(20)) + "a.jpg" for number in range(count)]


def test_memory_does_not_grow_with_a_listing(tmp_path: Path) -> None:
    """The plan of 200,000 rows takes at most a fifth more memory than that of 50,000."""
    (tmp_path / "a.jpg").write_bytes(small()["train/n01/images/n01_0.JPEG"])
    peaks = []
    for rows in (50_000, 200_000):
        listed = tmp_path / f"{rows}.csv"
        listed.write_text("path,label\n" + "".join(f"{name},{len(name) % 7}\n" for name in names(rows)))
        command = [sys.executable, "-c", PROGRAM, str(listed), str(tmp_path / f"plan-{rows}")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout.splitlines()[-1]))
    assert peaks[1] < 1.2 * peaks[0], peaks
