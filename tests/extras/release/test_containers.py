"""The build files of containers: no fault for a linter, and all that their steps name exists."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import ROOT

FILES = sorted((ROOT / "containers").glob("Dockerfile.*"))
TOOLS = Path(sys.executable).parent
WHEEL = "dist/*.whl"


def lint(path: Path) -> str:
    """What hadolint says of a build file."""
    return subprocess.run([TOOLS / "hadolint", path], capture_output=True, text=True, check=False).stdout


def steps(text: str) -> list[list[str]]:
    """The instructions of a build file as words, with continued lines joined."""
    whole = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    return [shlex.split(line) for line in whole.splitlines() if line.strip()]


def commands(text: str) -> list[list[str]]:
    """The commands of all RUN steps."""
    found: list[list[str]] = []
    for step in steps(text):
        if step[0] == "RUN":
            found.append([])
            for word in step[1:]:
                found.append([]) if word == "&&" else found[-1].append(word)
    return found


def known_options(*tool: str | Path) -> set[str]:
    """The options that a command's help names."""
    shown = subprocess.run([*tool, "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"(?<![\w-])--[\w-]+", shown))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_linter_finds_nothing(path: Path) -> None:
    """Hadolint has nothing to say."""
    assert lint(path) == ""


@pytest.mark.parametrize(("right", "wrong"), [(":3.11.14-slim-bookworm", ":latest"), ("COPY", "TAKE")])
def test_linter_sees_faults(tmp_path: Path, right: str, wrong: str) -> None:
    """A base that moves, and an instruction that does not exist."""
    path = tmp_path / "Dockerfile"
    path.write_text(FILES[0].read_text("utf-8").replace(right, wrong), "utf-8")
    assert lint(path) != ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_copied_exists_and_is_sent(path: Path) -> None:
    """Each copied file is in the repository, or is the wheel of `make dist`; .dockerignore lets it through."""
    copied = [word for step in steps(path.read_text("utf-8")) if step[0] == "COPY" for word in step[1:-1]]
    assert [word for word in copied if word != WHEEL and not (ROOT / word).is_file()] == []
    assert WHEEL in copied
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line[:1] == "!"]
    assert sorted(copied) == sorted(sent)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_steps_of_pip_are_sound(path: Path) -> None:
    """Options of pip and uv exist, files are those that were copied, and versions are the tested ones."""
    text = path.read_text("utf-8")
    options = {
        "pip": known_options(sys.executable, "-m", "pip", "install"),
        "uv": known_options(TOOLS / "uv", "pip", "install"),
    }
    copied = {Path(word).name for step in steps(text) if step[0] == "COPY" for word in step[1:-1]}
    installs = [words for words in commands(text) if words[0] in options and "install" in words]
    assert len(installs) >= 3
    for words in installs:
        assert {word for word in words if word[:2] == "--"} <= options[words[0]], words
        files = [
            words[at + 1] for at, word in enumerate(words) if word in ("--requirement", "--constraint", "--constraints")
        ]
        files += [Path(word).name for word in words if word.endswith(".whl")]
        assert set(files) <= copied
    tested = (ROOT / "tests/extras/release/requirements.txt").read_text("utf-8").splitlines()
    assert [pin for words in installs for pin in words if "==" in pin and pin not in tested] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_container_is_not_run_by_root(path: Path) -> None:
    """The last user is one that a step makes; the command is `headrace`."""
    text = path.read_text("utf-8")
    (user,) = [step[1] for step in steps(text) if step[0] == "USER"]
    assert ["useradd", "--create-home", "--home-dir", "/headrace", "--uid", user, "headrace"] in commands(text)
    assert user != "0"
    assert 'ENTRYPOINT ["headrace"]\n' in text
