"""What helps before a command runs: completion, a schema, what to report, a clear word where DALI does not exist."""

import getpass
import json
import platform
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from headrace import cli
from headrace.train.recipe.recipe import Recipe, shipped_recipes
from tests.checkout import ROOT


def completed(*words: str) -> list[str]:
    """What a shell offers for the last of these words."""
    shell = ShellComplete(cli.main, {}, "headrace", "_HEADRACE_COMPLETE")
    return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]


@pytest.mark.parametrize("command", ["train", "doctor"])
def test_recipes_are_completed(command: str) -> None:
    """By name, beside the shell's own files."""
    assert completed(command, "set", "--recipe", "") == ["", *shipped_recipes()]
    assert completed(command, "set", "--recipe", "dem")[1:] == ["demo"]


@pytest.mark.parametrize("command", ["train", "doctor", "eval"])
def test_keys_are_completed(command: str) -> None:
    """All keys of a section, with the sign; none that decide nothing, and nothing after the sign."""
    keys = completed(command, "set", "--set", "train.")
    assert keys == [f"train.{key}=" for key in type(Recipe().train).model_fields]
    assert completed(command, "set", "--set", "about") == []
    assert completed(command, "set", "--set", "train.epochs=1") == []


def test_bash_can_load_the_completion() -> None:
    """The line that docs/compatibility.md gives defines a completion in a real shell."""
    line = 'eval "$(_HEADRACE_COMPLETE=bash_source "$1" -m headrace)"; complete -p'
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}/.src"}
    command = ["/bin/bash", "-c", line, "bash", sys.executable]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "headrace" in ran.stdout


@pytest.mark.parametrize(
    ("option", "begun", "offered"), [("--recipe", "dem", "demo"), ("--set", "train.epo", "train.epochs=")]
)
def test_bash_offers_names_and_keys(option: str, begun: str, offered: str, tmp_path: Path) -> None:
    """What a real bash is left with after its completion function ran; compopt works inside of a completion only."""
    line = (
        'compopt() { :; }; eval "$(_HEADRACE_COMPLETE=bash_source "$1")"\n'
        'COMP_WORDS=(headrace train set "$2" "$3"); COMP_CWORD=4; _headrace_completion "$1"\n'
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    script = tmp_path / "headrace"
    script.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -m headrace\n", "utf-8")
    script.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}/.src"}
    command = ["/bin/bash", "-c", line, "bash", str(script), option, begun]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [offered]


def test_schema_has_every_key() -> None:
    """The sections and keys of a recipe and no others, each described by its type."""
    shown = CliRunner().invoke(cli.main, ["recipes", "schema"])
    assert shown.exit_code == 0
    schema = json.loads(shown.output)
    for section, field in Recipe.model_fields.items():
        own = schema["$defs"][schema["properties"][section]["$ref"].rpartition("/")[2]]
        assert set(own["properties"]) == set(type(field.default).model_fields)
        assert own["additionalProperties"] is False
        assert all({"type", "oneOf", "anyOf", "enum", "const"} & value.keys() for value in own["properties"].values())


def test_version_says_what_to_report() -> None:
    """Versions, system and processor in one object; no name of the user, the host or a folder."""
    shown = CliRunner().invoke(cli.main, ["--version", "--json"])
    about = json.loads(shown.output)
    assert about["python"] == platform.python_version()
    assert {"torch", "numpy", "click"} <= about["packages"].keys()
    private = {getpass.getuser(), platform.node(), str(Path.home()), str(ROOT)} - {"root"}
    assert [word for word in private if word in shown.output] == []


def test_json_goes_with_version_alone() -> None:
    """Before a command it would be lost without a word."""
    assert CliRunner().invoke(cli.main, ["--json", "recipes"]).exit_code == 2


@pytest.mark.parametrize(
    "words",
    [("prep", "a", "b"), ("train", "a"), ("eval", "a", "b"), ("predict", "a", "b"), ("doctor", "a"), ("index", "a")],
    ids=lambda words: words[0],
)
def test_other_systems_are_told(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that decode images end before they look at anything."""
    monkeypatch.setattr(sys, "platform", "darwin")
    ended = CliRunner().invoke(cli.main, words)
    assert ended.exit_code == 2
    assert f"`headrace {words[0]}` needs NVIDIA DALI, which exists only for Linux" in ended.output
