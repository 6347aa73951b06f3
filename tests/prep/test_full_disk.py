"""A disk that fills up during a prep, in its worker processes, on a real small file system."""

import sys
from pathlib import Path

from tests.checkout import ROOT
from tests.disks import in_namespace

# The check of free space before the work is told that there is enough, as when another program fills the disk later.
PREP = (
    "from headrace.prep import convert; convert.store.free_bytes = lambda _: 1 << 40\n"
    "from headrace.cli import main; main()"
)
SCRIPT = """
mount -t tmpfs -o size=1200k tmpfs "$1"; cd "$2"
prep() { "$3" -c "$5" prep "$4" "$1/out" --samples-per-shard 20 --workers 2; }
prep "$@" && exit 99
echo "ended with $?"; ls -A "$1"; ls -A "$1"/.out.partial/*.records | grep -c "record$" || true
mount -o remount,size=64m "$1"; prep "$@"; ls -A "$1"
"$3" -m headrace verify "$1/out" --deep
"""


def test_disk_fills_up_in_a_worker(tiny_zip: Path, tmp_path: Path) -> None:
    """The run ends with one clear line and no set; with more space the same command continues and ends well."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = in_namespace(SCRIPT, disk, ROOT, sys.executable, tiny_zip, PREP)
    lines = done.stdout.splitlines()
    assert lines[:2] == ["ended with 1", ".out.partial"], done
    assert 0 < int(lines[2]) < 30
    assert lines[3] == f"continuing an interrupted run: {lines[2]} of 30 shards are done"
    assert "480 train, 120 val samples" in lines[4]
    assert lines[-2] == "out"
    assert "sound. 600 samples in 30 shards" in lines[-1]
    errors = [line for line in done.stderr.splitlines() if not line.startswith("prep: ")]
    assert len(errors) == 1, done.stderr
    assert "the disk is full (" in errors[0]
    assert "finished shards are kept" in errors[0]
