"""Pages of docs that are made from the program: each is the one that the program would write."""

import click
import pytest

import headrace
from tests.project import api_page, commands_page
from tests.project.names import commands, root_command
from tests.tested import needs_tested


@needs_tested("click", "pydantic")
@pytest.mark.parametrize("made", [api_page, commands_page], ids=["api", "commands"])
def test_page_is_what_the_program_has(made: object) -> None:
    """`python -m tests.project.commands_page` and `... api_page` write them."""
    name = made.__name__  # type: ignore[attr-defined]
    assert made.PAGE.read_text("utf-8") == made.page(), f"`python -m {name}` writes the page anew"  # type: ignore[attr-defined]


def test_every_command_is_on_its_page() -> None:
    """The page has each command and each option of it."""
    written = commands_page.page()
    for path, command in commands(root_command()):
        part = written.split(f"\n## headrace {' '.join(path)}\n")[1].split("\n## ")[0]
        names = [name for one in command.params if isinstance(one, click.Option) for name in one.opts]
        assert all(name in part for name in names), path


def test_every_public_name_is_on_its_page() -> None:
    """The page has each public name, and what it says of itself."""
    assert sorted((*api_page.ORDER, "__version__")) == headrace.__all__
    assert all(f"\n## headrace.{name}\n" in api_page.page() for name in api_page.ORDER)


def test_every_command_has_an_example() -> None:
    """Its help ends with a command line that begins with its own name; sub-commands have their group's."""
    missing = [
        name for name, command in root_command().commands.items() if f"  headrace {name} " not in f"{command.epilog} "
    ]
    assert missing == []
