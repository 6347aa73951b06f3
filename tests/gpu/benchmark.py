"""The GPU benchmark as its user starts it."""

import subprocess
import sys

from tests.checkout import ROOT


def measured(*arguments: str, timeout: float = 280) -> "subprocess.CompletedProcess[str]":
    """`python -m benchmarks.gpu` with these arguments."""
    command = [sys.executable, "-m", "benchmarks.gpu", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=timeout)
