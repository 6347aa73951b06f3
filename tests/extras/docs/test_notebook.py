"""docs/worked-example.md, run from top to bottom as the notebook that is made from it."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.extras.docs.environment import environment
from tests.project.notebook import NOTEBOOK


def test_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell ends without an error, says what the page says, and leaves what the page names."""
    jupyter = {"JUPYTER_PLATFORM_DIRS": "1", "IPYTHONDIR": str(tmp_path / ".ipython")}
    for name, value in (environment(tmp_path) | jupyter).items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    client = NotebookClient(notebook, timeout=250, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
    client.execute()
    outputs = [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]
    told = "".join(out.get("text", "") for out in outputs)
    for words in (
        "grass/broken.jpg: not a sound JPEG",
        "exit code 3",
        "1 of 145 images omitted",
        "24 images: WEBP converted to RGB JPEG",
        "1 file not used: not an image",
        "sound. 144 samples",
        "R_real / R_synth",
        "brick -> brick",
        "36 images; weights after step",
    ):
        assert words in told, words
    for name in ("surfaces.png", "seen.png", "evaluated/mistakes.csv", "runs/surfaces/report.html"):
        assert (tmp_path / name).stat().st_size > 0
