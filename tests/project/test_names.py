"""The program has the names of the committed list: none is added, renamed or lost unnoticed."""

from difflib import unified_diff

import click
import pytest

import headrace
from tests.project import names

HINT = """
The names that users rely on are not those of tests/project/names.txt ("-": only in the list, "+": only in the program).
If that is meant, `python -m tests.project.names` writes the list anew; then add a line to CHANGELOG.md.
"""


def differences(committed: str, found: str) -> str:
    """Lines that only one of two lists has, after what to do about them; nothing where they are equal."""
    lines = unified_diff(committed.splitlines(), found.splitlines(), "names.txt", "the program", n=0, lineterm="")
    changed = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    return "\n".join((HINT, *changed)) if changed else ""


def test_program_has_the_names_of_the_list() -> None:
    """Commands with arguments and options, recipe keys, extras and public names are the committed ones."""
    changed = differences(names.LIST.read_text("utf-8"), names.listing())
    if changed:
        pytest.fail(changed, pytrace=False)


def test_differences_are_told() -> None:
    """A name that is new and one that is gone are both printed, with how to write the list anew."""
    told = differences("[extras]\nlite\n", "[extras]\nlight\n")
    assert told.splitlines()[-2:] == ["-lite", "+light"]
    assert "python -m tests.project.names" in told
    assert "CHANGELOG.md" in told


def test_every_kind_of_parameter_is_listed() -> None:
    """Arguments stand behind their command; options have all their names, and what they take, as help spells them."""

    @click.command("run", params=[click.Argument(["source"]), click.Option(["--fast", "-f"], is_flag=True)])
    @click.option("--kind", type=click.Choice(["a", "b"]))
    @click.option("--count", "-n", metavar="N")
    def run_command(**_: object) -> None: ...

    root = click.Group("headrace", commands=[run_command, click.Group("set", commands=[click.Command("show")])])
    assert names.command_line(root) == [
        "headrace --help",
        "headrace run SOURCE",
        "headrace run --count, -n N",
        "headrace run --fast, -f",
        "headrace run --kind [a|b]",
        "headrace set",
        "headrace set show",
    ]


def test_no_public_name_is_that_of_a_part() -> None:
    """After `import headrace.prep` a function of that name could not be called."""
    assert not {"cli", "commands", "prep", "shards", "train"} & set(headrace.__all__)
