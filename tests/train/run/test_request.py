import json
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.train.run.request import Request
from tests.checkout import ROOT

PROGRAM = """
import json, sys
from headrace.cli import main
code = 0
try:
    main()
except SystemExit as end:
    code = end.code
print(json.dumps([code, [name for name in ("torch", "nvidia.dali", "pyarrow", "numpy") if name in sys.modules]]))
"""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--set", "nonsense.x=1"), "nonsense: unknown key"),
        (("--nproc", "2", "--set", "augment.sise=64"), "augment.sise: unknown key"),
    ],
)
def test_misspelt_request_is_refused_at_once(tiny_set: Path, arguments: tuple[str, ...], words: str) -> None:
    """An invalid key, value or recipe ends the command before slow libraries such as torch and DALI are loaded."""
    command = [sys.executable, "-c", PROGRAM, "train", str(tiny_set), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    code, loaded = json.loads(done.stdout.splitlines()[-1])
    assert (code, loaded) == (2, [])
    assert words in done.stderr


def test_missing_set_is_refused_at_once(tmp_path: Path) -> None:
    """A folder that is not a shard set also ends it."""
    command = [sys.executable, "-c", PROGRAM, "train", str(tmp_path / "none")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [2, []]
    assert "no such folder" in done.stderr


def test_recipe_of_a_checkpoint_is_left_to_it(tiny_set: Path) -> None:
    """At a resume, settings change the checkpoint's recipe, which is read later; a named recipe is checked."""
    Request(tiny_set, settings=("train.group=7",), resume="last").refuse_early()
    with pytest.raises(Exception, match=r"group = 7 does not divide"):
        Request(tiny_set, recipe="demo", settings=("train.group=7",), resume="last").refuse_early()
