"""On macOS and Windows, imitated by tests/elsewhere.py: what reads sets and runs works; the rest says what it needs."""

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

from headrace.shards.shardset import ShardSet
from tests.checkout import HEADRACE, ROOT

SETTINGS = ("--recipe=demo", "--device=cpu", "--set=train.epochs=1", "--set=train.global_batch=24")
MORE = ("--set=train.group=12", "--set=runtime.threads=1")
systems = pytest.mark.parametrize("system", ["darwin", "win32"])


@pytest.fixture(scope="module")
def run(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one epoch, made on this system."""
    out = tmp_path_factory.mktemp("made") / "run"
    subprocess.run([*HEADRACE, "train", tiny_set, "--out", out, *SETTINGS, *MORE], check=True, capture_output=True)
    return out


@cache
def there(system: str) -> subprocess.Popen[str]:
    """The process that imitates the system and runs jobs; it ends with its input, so with the tests."""
    command = [sys.executable, str(ROOT / "tests/elsewhere.py"), system]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def on(system: str, folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """What these words do there, in a folder of this system."""
    process = there(system)
    assert process.stdin is not None
    assert process.stdout is not None
    with tempfile.TemporaryDirectory() as beside:
        files = [Path(beside, name) for name in ("output", "errors")]
        job = (str(folder), list(map(str, words)), *map(str, files))
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        code = int(process.stdout.readline())
        return subprocess.CompletedProcess(job[1], code, *(file.read_text() for file in files))


@systems
def test_import_needs_nothing_of_linux(system: str, tmp_path: Path) -> None:
    """The package and each public name load, except those that train."""
    names = (
        "ShardSet",
        "load_recipe",
        "Recipe",
        "verify_shards",
        "Callback",
        "HeadraceError",
        "UsageError",
        "DataError",
    )
    done = on(system, tmp_path, "-c", f"import headrace; print([getattr(headrace, one) is None for one in {names}])")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{[False] * len(names)}\n"


@systems
def test_samples_are_the_same(system: str, tiny_set: Path, tmp_path: Path) -> None:
    """ShardSet gives each image's bytes, also to several threads at once."""
    program = f"""
from concurrent.futures import ThreadPoolExecutor
from zlib import crc32
import headrace
split = headrace.ShardSet.open({str(tiny_set)!r}).split("train")
with ThreadPoolExecutor(4) as pool:
    print(list(pool.map(lambda number: crc32(split[number].jpeg), range(len(split)))))
"""
    done = on(system, tmp_path, "-c", program)
    assert done.returncode == 0, done.stderr
    split = ShardSet.open(tiny_set).split("train")
    assert json.loads(done.stdout) == split._crcs.tolist()


@systems
@pytest.mark.parametrize(
    "words",
    [
        *("recipes", "recipes schema", "inspect SET", "inspect SET --json", "inspect SET --sheet sheet.png"),
        *("verify SET", "verify SET --deep", "report RUN --out page.html", "runs RUN --json"),
        *("export RUN exported --format torch", "--version --json"),
    ],
)
def test_reading_commands_work(system: str, words: str, tiny_set: Path, run: Path, tmp_path: Path) -> None:
    """They end well and print what they print on Linux, but for times and names of files."""
    given = [{"SET": str(tiny_set), "RUN": str(run)}.get(word, word) for word in words.split()]
    done = on(system, tmp_path, *given)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    if given[0] in ("recipes", "inspect", "runs"):
        (tmp_path / "linux").mkdir()
        here = subprocess.run([*HEADRACE, *given], cwd=tmp_path / "linux", capture_output=True, text=True, check=True)
        assert done.stdout == here.stdout


@systems
def test_damage_is_found(system: str, tiny_set: Path, tmp_path: Path) -> None:
    """A changed byte in a tar ends verify with exit code 3."""
    copy = tmp_path / "set"
    copy.mkdir()
    for path in tiny_set.iterdir():
        os.link(path, copy / path.name)
    tar = next(copy.glob("*.tar"))
    data = bytearray(tar.read_bytes())
    data[5000] ^= 1
    tar.unlink()
    tar.write_bytes(data)
    done = on(system, tmp_path, "verify", copy)
    assert done.returncode == 3
    assert tar.name in done.stdout + done.stderr


@systems
@pytest.mark.parametrize("command", ["prep a b", "train a", "eval a b", "predict a b", "doctor a", "index a"])
def test_decoding_commands_say_in_one_line_that_they_need_linux(system: str, command: str, tmp_path: Path) -> None:
    """One line on standard error, and the exit code of wrong usage."""
    done = on(system, tmp_path, *command.split())
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert f"`headrace {command.split(maxsplit=1)[0]}` needs NVIDIA DALI, which exists only for Linux" in line


def test_sets_at_urls_are_refused_on_windows(tmp_path: Path) -> None:
    """Their stage needs locks on open files; the line says what to do."""
    done = on("win32", tmp_path, "inspect", "s3://bucket/set")
    assert done.returncode == 2
    assert "copy the set to a folder" in done.stderr
