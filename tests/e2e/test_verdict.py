import re
from pathlib import Path

from tests.e2e.commands import SMALL, headrace


def test_run_ends_with_its_verdict(tiny_set: Path, tmp_path: Path) -> None:
    """The rate on real data, that of the step alone, and their ratio, which is judged in words."""
    ended = headrace("train", tiny_set, *SMALL, "--set=runtime.verdict=true", "--out", tmp_path / "run")
    assert ended.code == 0, ended.stderr
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith("R_real / R_synth")]
    match = re.fullmatch(r"R_real / R_synth = ([\d.]+) / ([\d.]+) images/s = ([\d.]+): (compute|input)-bound: .+", line)
    assert match, line
    real, synthetic, ratio = map(float, match.groups()[:3])
    assert abs(real / synthetic - ratio) < 0.01
