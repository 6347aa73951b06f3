"""Where the checkout lies, and how another process finds the product and the tests in it."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SEARCH = os.pathsep.join(
    map(str, (ROOT, ROOT / ".src", *([ROOT / "tests/site"] if "HEADRACE_EXTRA" in os.environ else [])))
)
"""A PYTHONPATH: `headrace` is the checkout, whatever that is called, and `tests` lies in it.

Extras have torchvision, which tests/site lets a CPU build of torch load.
"""
HEADRACE = (sys.executable, "-P", "-m", "headrace")
"""The command, in a process of its own; -P: what lies in the current folder is not imported."""
