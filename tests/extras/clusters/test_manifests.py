"""The YAML files of docs/clusters for Kubernetes are what its schemas say."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import ROOT

FILES = ROOT / "docs" / "clusters"


def problems(path: Path) -> str:
    """What the checker says beyond that all is well; a warning is a part that it did not check."""
    tool = Path(sys.executable).with_name("kubernetes-validate")
    done = subprocess.run([tool, "--strict", path], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    said = [line for line in lines if not line.startswith("INFO")]
    return "\n".join(said) or ("" if done.returncode == 0 else f"exit code {done.returncode}")


def test_job_is_valid() -> None:
    """Service and Job keep to the schemas, to the last key."""
    assert problems(FILES / "job.yaml") == ""


@pytest.mark.parametrize(
    ("right", "wrong"), [("clusterIP", "clusterIp"), ("completions: 2", "completions: two"), ("subdomain", "subDomain")]
)
def test_checker_sees_mistakes(tmp_path: Path, right: str, wrong: str) -> None:
    """A misspelt key or a wrong type does not pass."""
    text = (FILES / "job.yaml").read_text()
    assert right in text
    path = tmp_path / "job.yaml"
    path.write_text(text.replace(right, wrong))
    assert problems(path) != ""


def test_what_is_not_checked_is_marked_so() -> None:
    """The checker has no schema of a TrainJob, so the page may not say that it was checked."""
    assert problems(FILES / "trainjob.yaml") != ""
    page = (ROOT / "docs" / "clusters.md").read_text()
    marked = [line for line in page.splitlines() if "trainjob.yaml" in line or "skypilot.yaml" in line]
    assert len(marked) == 2
    assert all("neither run nor checked" in line for line in marked)
