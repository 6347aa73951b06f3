import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.checkout import ROOT


def test_list_of_contents_names_versions_and_no_folder(tmp_path: Path) -> None:
    """The list that a release makes has what an environment holds, and nothing of the machine that made it."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "empty"], check=True)
    tool = shutil.which("cyclonedx-py", path=str(Path(sys.executable).parent))
    assert tool, "tests/extras/release/requirements.txt brings cyclonedx-bom"
    made = tmp_path / "sbom.json"
    options = ("--pyproject", ROOT / "pyproject.toml", "--output-reproducible", "--of", "JSON", "-o", made)
    subprocess.run([tool, "environment", tmp_path / "empty/bin/python", *options], check=True)
    written = json.loads(made.read_text("utf-8"))
    assert written["bomFormat"] == "CycloneDX"
    assert written["metadata"]["component"]["name"] == "headrace"
    assert "pip" in {one["name"] for one in written["components"] if one["version"]}
    assert str(tmp_path) not in made.read_text("utf-8")
