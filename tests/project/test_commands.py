import json
import re
import subprocess
import sys

import click

from tests.checkout import ROOT
from tests.project.names import Words, commands, root_command

HEAVY = ("torch", "nvidia.dali", "pyarrow", "webdataset", "numpy", "pydantic")
LIGHT_FOR_ALL = ("torch", "nvidia.dali", "pyarrow")
"""What no `--help` loads; the group's own loads nothing heavy at all."""


def unexplained(path: Words, command: click.Command) -> list[str]:
    """What a reader of the help is not told: the command itself, an option, or an argument."""
    name, text = " ".join(path), command.help or ""
    gaps = [] if text else [f"{name}: no help"]
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.help:
            gaps.append(f"{name} {parameter.opts[0]}: no help")
        if isinstance(parameter, click.Argument):
            words = re.findall(r"\w+", parameter.make_metavar(click.Context(command)))
            gaps += [f"{name}: its help does not mention {word}" for word in words if word not in text]
    return gaps


def loaded_by(*arguments: str) -> set[str]:
    """Modules in memory after `headrace ARGUMENTS`, in a process of its own."""
    program = (
        "import json, sys\n"
        "from headrace.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print('\\n' + json.dumps(sorted(sys.modules)))"
    )
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Usage: " in done.stdout
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_everything_has_help() -> None:
    """Every command and option says what it does, and every argument is mentioned."""
    assert [gap for path, command in commands(root_command()) for gap in unexplained(path, command)] == []


def test_missing_help_is_found() -> None:
    """The checker sees a command, an option and an argument that nobody explained."""

    @click.command
    @click.argument("source")
    @click.option("--seed")
    def bare(source: str, seed: str) -> None: ...

    assert unexplained(("bare",), bare) == [
        "bare: no help",
        "bare: its help does not mention SOURCE",
        "bare --seed: no help",
    ]


def test_help_is_light() -> None:
    """`headrace --help` loads no library that takes long, so that it answers at once."""
    assert loaded_by("--help") & set(HEAVY) == set()


def test_help_of_each_command_needs_no_torch() -> None:
    """The help of a command loads neither torch nor DALI nor pyarrow."""
    for path, _ in commands(root_command()):
        assert loaded_by(*path, "--help") & set(LIGHT_FOR_ALL) == set(), path
