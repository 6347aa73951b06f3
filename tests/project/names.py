"""The names that users rely on, as the program itself has them, one a line. names.txt is the committed list of them.

    python -m tests.project.names

writes that list anew, from the root of the checkout.
"""

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click

import headrace
from headrace import cli
from headrace.train.recipe.recipe import Recipe
from tests.checkout import ROOT

Words = tuple[str, ...]

LIST = Path(__file__).with_name("names.txt")
HEAD = """\
# The names that users rely on: commands with their arguments and options, recipe keys, extras, public names.
# A test compares this list with the program; a change of it needs a line in CHANGELOG.md.
# `python -m tests.project.names` writes it anew.
"""


def root_command() -> click.Group:
    """The group that all commands belong to."""
    groups = [value for value in vars(cli).values() if isinstance(value, click.Group)]
    inner = [command for group in groups for command in group.commands.values()]
    roots = [group for group in groups if group not in inner]
    assert len(roots) == 1
    return roots[0]


def commands(group: click.Group, path: Words = ()) -> Iterator[tuple[Words, click.Command]]:
    """Every command under the group, with the words that lead to it."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def command_line(root: click.Group) -> list[str]:
    """Each command with its arguments, and each of its options with what it takes, as the help spells them."""
    own = root.get_params(click.Context(root, **root.context_settings))
    lines = [f"headrace {option}" for option in _options(root, own)]
    for path, command in sorted(commands(root)):
        words = " ".join(("headrace", *path))
        context = click.Context(command)
        arguments = [given.make_metavar(context) for given in command.params if isinstance(given, click.Argument)]
        lines.append(" ".join((words, *arguments)))
        lines += [f"{words} {option}" for option in _options(command, command.params)]
    return lines


def _options(command: click.Command, parameters: list[click.Parameter]) -> list[str]:
    """Options, sorted: their long name first, then a short one, then what they take."""
    found = []
    for option in parameters:
        if isinstance(option, click.Option):
            names = ", ".join(sorted((*option.opts, *option.secondary_opts), key=len, reverse=True))
            found.append(names if option.is_flag else f"{names} {option.make_metavar(click.Context(command))}")
    return sorted(found)


def recipe_keys() -> list[str]:
    """SECTION.KEY of every value of a recipe."""
    sections = {name: type(getattr(Recipe(), name)) for name in Recipe.model_fields}
    return [f"{name}.{key}" for name, section in sections.items() for key in section.model_fields]


def extras() -> list[str]:
    """What may stand in `pip install 'headrace[...]'`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return list(project["optional-dependencies"])


def listing() -> str:
    """The whole list, as names.txt has it."""
    parts = {
        "command line": command_line(root_command()),
        "recipe keys": sorted(recipe_keys()),
        "extras": sorted(extras()),
        "public names": [f"headrace.{name}" for name in sorted(headrace.__all__)],
    }
    return HEAD + "".join(f"\n[{title}]\n" + "".join(f"{line}\n" for line in lines) for title, lines in parts.items())


if __name__ == "__main__":
    LIST.write_text(listing(), encoding="utf-8")
    sys.stdout.write(f"{LIST.relative_to(ROOT)} is written; what changed in it needs a line in CHANGELOG.md\n")
