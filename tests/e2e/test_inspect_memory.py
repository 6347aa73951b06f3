"""`headrace inspect` of a set of two million samples takes about as much memory as of one of two hundred thousand."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.shards.made_sets import made_set

FEW, MANY = 200_000, 2_000_000
_PEAK = """
import sys
from pathlib import Path
from headrace.cli import main
sys.argv = ["headrace", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
lines = Path("/proc/self/status").read_text("ascii").splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")), file=sys.stderr)
"""


def inspected(root: Path) -> tuple[dict[str, Any], float]:
    """What the command finds, and the peak of its process in MB."""
    command = [sys.executable, "-P", "-c", _PEAK, "inspect", "--json", str(root)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), int(done.stderr.split()[-1]) / 1000


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ten_times_the_samples_take_about_the_same_memory(tmp_path: Path) -> None:
    """Eight bytes of each hash, up to 32 MB, and rows of equal images, up to some 60 MB, are all that grows.

    One sample in fifty is a copy. Columns of all samples would be 58 MB more, their hashes alone 58 MB.
    """
    found = {size: inspected(made_set(tmp_path / str(size), size, 10_000, copies=50)) for size in (FEW, MANY)}
    for size, (record, _) in found.items():
        (split,) = record["splits"]
        assert record["equal"]["pairs"] == {"across": 0, "labels": size // 50, "within": 0}
        assert (split["samples"], split["repeated"], sum(split["histograms"]["bytes"])) == (size, size // 50, size)
    assert found[MANY][1] - found[FEW][1] < 40
