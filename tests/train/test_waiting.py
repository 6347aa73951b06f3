"""How OpenMP's threads wait is decided before torch loads the library, and by the user where the user says so."""

import os
import subprocess
import sys

import pytest

from tests.project.sources import ROOT

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
SEEN = "import os, sys, train; print('torch' in sys.modules, *(os.environ.get(n) for n in sys.argv[1:]))"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, "False None 2000"),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, "False PASSIVE None"),
        ({"GOMP_SPINCOUNT": "7"}, "False None 7"),
    ],
    ids=["nothing said", "policy", "count"],
)
def test_threads_spin_briefly_unless_the_user_says_otherwise(given: dict[str, str], found: str) -> None:
    """The count is set by the package itself, before any module of it imports torch."""
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    command = [sys.executable, "-c", SEEN, *NAMES]
    done = subprocess.run(
        command, env={**environment, **given, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == found
