"""Each extra, installed with constraints.txt, leaves the torch that is there."""

import json
import subprocess
import sys
import tomllib

import pytest

from tests.checkout import ROOT
from tests.project.test_requirements import canonical

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.mark.parametrize("extra", sorted(PROJECT["optional-dependencies"]))
def test_extra_brings_no_other_torch(extra: str) -> None:
    """Pip would install what constraints.txt pins, and no torch."""
    wanted = PROJECT["optional-dependencies"][extra]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--report", "-", "-c", "constraints.txt"]
    done = subprocess.run([*command, *wanted], cwd=ROOT, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    brought = {canonical(one["metadata"]["name"]): one["metadata"]["version"] for one in report["install"]}
    lines = [line.split(";")[0].strip() for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()]
    pins = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    pinned = {canonical(name): version for name, version in pins}
    assert "torch" not in brought
    assert {name: pinned.get(name) for name in brought} == brought
