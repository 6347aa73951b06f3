"""`headrace report` and `headrace runs`, and the page that a run leaves."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.e2e.commands import SMALL, headrace, here, refused
from tests.train.record.page.runs import drawn_run


@pytest.fixture(scope="module")
def run(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two short epochs."""
    out = tmp_path_factory.mktemp("report") / "run"
    result = headrace("train", tiny_set, "--out", out, *SMALL, "--set=train.epochs=2")
    assert result.code == 0, result.stderr
    return out


def test_run_leaves_its_page(run: Path) -> None:
    """With all parts, of the run as it ended."""
    page = (run / "report.html").read_text("utf-8")
    for words in ("; finished.", "2 of 2", "Most confident mistakes", "Training images as the network saw them"):
        assert words in page
    assert page.count("data:image/jpeg;base64,") > 20


def test_page_is_made_anew_elsewhere(run: Path, tmp_path: Path) -> None:
    """From the folder alone: but for its date and its links it is the page that the run wrote."""
    result = here("report", run, "--out", tmp_path / "page.html")
    assert (result.code, result.stdout) == (0, f"wrote {tmp_path / 'page.html'}\n")
    pages = [path.read_text("utf-8").splitlines() for path in (run / "report.html", tmp_path / "page.html")]
    differing = [(one, other) for one, other in zip(*pages, strict=True) if one != other]
    assert all("<a href=" in one or "Written by" in one for one, _ in differing)


def test_several_runs_are_compared(run: Path, tmp_path: Path) -> None:
    """On a page of their own, which has to be named."""
    other = drawn_run(tmp_path / "other")
    refused(here("report", run, other), 2, "--out FILE.html")
    result = here("report", run, other, "--out", tmp_path / "both.html")
    assert result.code == 0, result.stderr
    assert "2 runs" in (tmp_path / "both.html").read_text("utf-8")


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    """One line each, and no page."""
    refused(here("report", tmp_path), 2, "not a run folder")
    refused(here("report", tmp_path / "nowhere"), 2, "not a run folder")
    refused(here("report", drawn_run(tmp_path / "run"), "--out", tmp_path), 2, "this is a folder")
    refused(here("report", drawn_run(tmp_path / "other"), "--out", tmp_path / "a" / "b.html"), 2, "does not exist")
    refused(here("runs", tmp_path / "nowhere"), 2, "no such folder")


def test_runs_are_listed(run: Path) -> None:
    """As a table, and as one object."""
    table = here("runs", run.parent)
    assert table.code == 0
    assert table.stdout.splitlines()[1].endswith(str(run))
    record = json.loads(here("runs", run.parent, "--json").stdout)
    assert [(one["run"], one["epochs_done"], one["state"]) for one in record["runs"]] == [(str(run), 2, "finished")]


@pytest.mark.parametrize("command", ["report", "runs"])
def test_torch_is_not_loaded(command: str, tmp_path: Path) -> None:
    """Nor DALI: so that a page is there in less than a second."""
    folder = drawn_run(tmp_path / "run")
    program = (
        "import sys; from headrace.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not {'torch', 'nvidia.dali', 'numba'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, command, str(folder)], cwd=ROOT, check=True, capture_output=True)
