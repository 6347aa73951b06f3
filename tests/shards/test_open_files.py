"""A set with more tars than a process may have open: a library says so, a command raises the limit."""

import subprocess
import sys
from pathlib import Path

import pytest

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from tests.checkout import ROOT

PROGRAM = """
import resource, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (40, hard))
from headrace import HeadraceError, ShardSet
{raise_limit}
try:
    print(len(ShardSet.open(sys.argv[1])["train"]))
except HeadraceError as error:
    print(error.exit_code, error)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 40)
"""
RAISE = "from headrace.shards.open_files import allow_many; allow_many()"


@pytest.fixture(scope="module")
def many_tars(tiny_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set whose training split has 60 tars."""
    out = tmp_path_factory.mktemp("many") / "set"
    options = Options(samples_per_shard=1, per_class=5)
    prep(tiny_zip, out, options, workers=1, if_exists="error", say=lambda _: None)
    return out


def printed(program: str, shards: Path) -> list[str]:
    """The lines that a new process prints."""
    command = [sys.executable, "-c", program, str(shards)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def test_library_leaves_the_limit_and_says_what_to_do(many_tars: Path) -> None:
    """Numbers, and how to raise it."""
    error, unchanged = printed(PROGRAM.format(raise_limit=""), many_tars)
    assert error.startswith("1 ")
    assert "the split has 60 tars, and this process may open 40 files (RLIMIT_NOFILE" in error
    assert "Raise the limit first: `ulimit -n 1084`" in error
    assert unchanged == "True"


def test_command_raises_the_limit(many_tars: Path) -> None:
    """What the command line does first is enough."""
    assert printed(PROGRAM.format(raise_limit=RAISE), many_tars) == ["60", "False"]
