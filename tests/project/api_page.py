"""The public names of `headrace`, as their docstrings have them, as a page: docs/api.md is the committed one.

    python -m tests.project.api_page

writes that page anew, from the root of the checkout.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import headrace
from headrace.shards.picture import Picture
from headrace.shards.shardset import Split
from headrace.train.evaluate.model import Model
from tests.checkout import ROOT

PAGE = ROOT / "docs" / "api.md"
ORDER = (
    *("make_shards", "verify_shards", "ShardSet", "fit", "Callback", "load_recipe", "Recipe", "load_model", "Loader"),
    *("HeadraceError", "UsageError", "DataError"),
)
"""Public names as one meets them. `__version__` is a text, and stands at the top."""
RETURNED: dict[type, tuple[str, ...]] = {
    Split: ("__getitem__", "jpegs", "keys", "sources", "shard_sizes", "describe", "close"),
    Picture: ("image", "array"),
    Model: ("predict", "forward"),
}
"""What public names return, with the members that are for users."""
_SPECIAL = ("__getitem__", "__iter__", "__len__")
_HEAD = """\
# Python

This page describes the public names of the package `headrace`; everything else may change without notice.
`headrace.__version__` is the version of Headrace, as text.
`import headrace` loads none of the package's modules: the module of a name is loaded when the name is first used.
Your own folder may contain a file `train.py` or a folder `prep/`: these do not clash with the modules of `headrace`.

"""
Signed = Callable[..., Any]


def page() -> str:
    """The whole page, Markdown."""
    links = [f"[{name}](#headrace{name.lower()})" for name in ORDER]
    public = "".join(_entry(f"headrace.{name}", getattr(headrace, name)) for name in ORDER)
    returned = "".join(f"\n### {one.__name__}\n{_about(one)}{_members(one, names)}" for one, names in RETURNED.items())
    return f"{_HEAD}The names are {', '.join(links)}.\n{public}\n## What these return\n{returned}"


def _entry(name: str, one: Any) -> str:
    text = f"\n## {name}\n{_about(one)}"
    if not inspect.isclass(one):
        return text + _parameters(one)
    return text + (_parameters(one) if one is headrace.Loader else "") + _members(one)


def _about(one: Any) -> str:
    return f"\n{prose(inspect.getdoc(one) or '')}\n"


def _parameters(function: Signed) -> str:
    rows = []
    for given in inspect.signature(function).parameters.values():
        default = "" if given.default is given.empty else f"`{_default(given.default)}`"
        rows.append(f"| `{_star(given)}{given.name}` | `{_type(given)}` | {default} |\n")
    return "\n| argument | type | default |\n|---|---|---|\n" + "".join(rows)


def _star(given: inspect.Parameter) -> str:
    stars: dict[Any, str] = {given.VAR_POSITIONAL: "*", given.VAR_KEYWORD: "**"}
    return stars.get(given.kind, "")


def _type(given: inspect.Parameter) -> str:
    return re.sub(r"\b(?:[a-z_]+\.)+(?=\w)", "", inspect.formatannotation(given.annotation)).replace("|", "\\|")


def _default(value: Any) -> str:
    return "IMAGENET" if isinstance(value, tuple) and len(value) == 2 else str(value) if value != "" else '""'


def _members(one: type, chosen: tuple[str, ...] | None = None) -> str:
    rows = [f"| `{name}` | {words} |\n" for name, words in _described(one, chosen)]
    return "\n| member | what it is |\n|---|---|\n" + "".join(rows) if rows else ""


def _described(one: type, chosen: tuple[str, ...] | None) -> Iterator[tuple[str, str]]:
    """Methods and properties that the class itself has, or those of them that are chosen, with their docstrings."""
    own = {name: getattr(member, "__func__", member) for name, member in vars(one).items()}
    public = [name for name in own if not name.startswith("_") or name in _SPECIAL]
    for name in chosen or public:
        if callable(own[name]) or isinstance(own[name], property | cached_property):
            words = " ".join((inspect.getdoc(own[name]) or "").split()).replace("|", "\\|")
            yield (_called(name, own[name]) if callable(own[name]) else name), words


def _called(name: str, function: Signed) -> str:
    parameters = list(inspect.signature(function).parameters.values())[1:]
    shown = [one.name if one.default is one.empty else f"{one.name}={one.default!r}" for one in parameters]
    return f"{name}({', '.join(shown)})"


def prose(text: str) -> str:
    """A docstring as Markdown: what is indented is code."""
    return re.sub(r"(?:^|\n\n)((?:    .*(?:\n+(?=    )|\n?))+)", _fenced, text).strip()


def _fenced(found: re.Match[str]) -> str:
    return f"\n\n```python\n{inspect.cleandoc(found[1])}\n```\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
