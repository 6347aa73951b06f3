"""Runs that find no place for their compiled loops."""

from pathlib import Path

import pytest

from tests.faults.runs import arguments, assert_same_run, running


@pytest.mark.faults
def test_run_says_that_it_keeps_no_loops(
    tiny_set: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the user's cache cannot be written, a run and `eval` compile them and say so; the bits are the same."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    with running(arguments(tiny_set, tmp_path / "run")) as process:
        output, errors = process.communicate(timeout=250)
    assert process.returncode == 0, errors
    first, second = (line for line in output.splitlines() if "loops" in line)
    assert first == "compiling the loops over pixels for this processor, which takes some seconds"
    assert second.startswith("warning: compiled loops cannot be kept, so every start compiles them again")
    assert_same_run(tmp_path / "run", undisturbed)
    with running(["eval", str(tmp_path / "run/best.pt"), str(tiny_set)]) as process:
        output, errors = process.communicate(timeout=250)
    assert process.returncode == 0, errors
    assert output.startswith("Test Loss: "), output
    assert errors.startswith(f"headrace: {first}\nheadrace: warning: compiled loops cannot be kept")
