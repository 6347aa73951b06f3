"""The frameworks' packages stand beside the torch that the product is tested with."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["accelerate", "lightning.pytorch", "pytorch_lightning", "timm.data", "torchvision"])
def test_framework_is_imported_beside_our_torch(module: str) -> None:
    """Each loads in a fresh process, and none brought a torch of its own."""
    code = f"import {module}, sys, torch; print(torch.__file__.startswith(sys.prefix))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.stdout, ended.returncode) == ("False\n", 0), ended.stderr
