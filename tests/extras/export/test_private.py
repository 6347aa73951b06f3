"""No export says where on this machine it was made."""

import sys
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.contents import found
from tests.extras.export.conftest import Reference

pytestmark = pytest.mark.timeout(1200)  # the first test waits for the training


@pytest.mark.parametrize("kind", ["timm", "safetensors", "onnx", "torch"])
def test_no_path_of_this_machine(reference: Reference, kind: str) -> None:
    """Neither the files of the installation, which graphs would name at each node, nor the run, nor the home folder."""
    words = {"code": str(ROOT), "Python": sys.prefix, "run": str(reference.run), "home": str(Path.home()) + "/"}
    assert found(reference.exported(kind), words) == []
