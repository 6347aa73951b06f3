"""The `headrace` command with the network of the runs in this folder: python thin.py train ..."""

import sys

import pytest

from headrace import cli
from tests.faults.worker import narrow, start_ranks_here
from tests.train.networks import Shape

THIN: Shape = {"width_coefficient": 0.05, "depth_coefficient": 0.1}

if __name__ == "__main__":
    patch = pytest.MonkeyPatch()
    narrow(patch, THIN)
    start_ranks_here(patch, __file__)
    sys.argv[0] = "headrace"
    cli.main()
