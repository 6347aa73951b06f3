"""The text that the project shows to people, by kind: errors, help, other output, docstrings, README and docs."""

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from tests.checkout import ROOT
from tests.project.sources import Source, product, read

KINDS = ("error", "help", "output", "docstring", "readme", "docs", "table")
_LEAST_WORDS = 4
"""Strings with fewer words are names, formats and keys."""
_PRINTING = ("say", "say_all", "say_warning", "print_result", "print")
_CODE = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)


class Passage(NamedTuple):
    """A piece of text, its kind, and where it is. A value inside a message appears as its name in braces.

    `within` is what a reader of the text sees around it: the line that defines the function or class, or the heading.
    `whole` is the docstring, message or paragraph that the text is a part of. `above` is the first sentence of each
    docstring that a reader of the file has met before: the file's and the class's.
    """

    kind: str
    path: str
    line: int
    text: str
    within: str = ""
    whole: str = ""
    above: str = ""


@cache
def passages() -> tuple[Passage, ...]:
    """All passages of the product, of README.md and of docs/, except the decisions, which are history."""
    return tuple(_passages())


def _passages() -> Iterator[Passage]:
    for source in product():
        yield from passages_of(source)
    yield from _markdown("readme", "README.md")
    for path in sorted((ROOT / "docs").rglob("*.md")):
        if "decisions" not in path.parts:
            yield from _markdown("docs", str(path.relative_to(ROOT)))


def literals(folder: str) -> Iterator[Passage]:
    """The docstrings and messages of the Python files in a folder, such as benchmarks."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        yield from passages_of(read(path))


def passages_of(source: Source) -> Iterator[Passage]:
    """The passages of one Python file."""
    kinds = {id(part): kind for node in reversed(source.nodes) for part, kind in _classified(node)}
    inside = {id(part) for node in source.nodes if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    inside -= {id(node) for node in source.nodes if isinstance(node, ast.JoinedStr)}
    within, messages, above = _definitions(source), _messages(source), _first_sentences(source)
    for node in source.nodes:
        text = _text_of(node) if id(node) not in inside else ""
        if text and len(re.findall(r"[A-Za-z]{2,}", text)) >= _LEAST_WORDS:
            kind, line = kinds.get(id(node), "output"), getattr(node, "lineno", 0)
            whole = messages.get(id(node), text) if kind == "error" else text
            before = above.get(id(node), "") if kind == "docstring" else ""
            yield Passage(kind, source.path, line, text, within.get(id(node), ""), whole, before)


def _first_sentences(source: Source) -> dict[int, str]:
    """For each docstring: the first sentences of the docstrings of the file and the class that it stands in."""
    found: dict[int, list[str]] = {}
    for node in source.nodes:
        if isinstance(node, ast.Module | ast.ClassDef) and (text := ast.get_docstring(node)):
            first = re.split(r"(?<=[.])\s", " ".join(text.split()), maxsplit=1)[0]
            own = node.body[0].value if isinstance(node.body[0], ast.Expr) else None
            for part in ast.walk(node):
                if part is not own:
                    found.setdefault(id(part), []).append(first)
    return {part: " ".join(texts) for part, texts in found.items()}


def _messages(source: Source) -> dict[int, str]:
    """For each string of an error: all that the outermost call with it prints, such as what is wrong and what to do."""
    found: dict[int, str] = {}
    for node in source.nodes:
        parts = [part for part, kind in _classified(node) if kind == "error"]
        whole = [part for part in parts if isinstance(part, ast.JoinedStr)]
        values = {id(below) for part in whole for below in ast.walk(part) if below is not part}
        texts = [text for part in parts if id(part) not in values and (text := _text_of(part).strip(" ,"))]
        found |= {id(part): " ".join(texts) for part in parts if id(part) not in found}
    return found


def _definitions(source: Source) -> dict[int, str]:
    """For each node inside a function, class or option: the line that defines the innermost one, or the option."""
    found: dict[int, str] = {}
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            owner = re.match(r"class \w+", found.get(id(node), ""))
            line = next(part for part in ast.unparse(node).splitlines() if not part.startswith("@"))
            named = f"{owner[0]}: {line}" if owner else line
            found |= {id(part): named for part in ast.walk(node) if part is not node}
    for node in source.nodes:
        if isinstance(node, ast.Call) and any(keyword.arg == "help" for keyword in node.keywords):
            names = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            found |= {id(keyword.value): f"option {' '.join(names)}" for keyword in node.keywords}
    return found


def _text_of(node: ast.AST) -> str:
    """The text of a string literal or f-string; "" for any other node."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text_of(part) or f"{{{_name_of(part)}}}" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _name_of(node: ast.AST) -> str:
    """What a reader calls a value inside a message: the last name of an attribute, the first argument of a call."""
    if isinstance(node, ast.FormattedValue | ast.Subscript | ast.Await | ast.Starred):
        return _name_of(node.value)
    if isinstance(node, ast.Call):
        return _name_of(node.args[0] if node.args else node.func)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else "..."


def _classified(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """The strings below a node whose kind follows from it."""
    if isinstance(node, ast.Raise) and node.exc is not None:
        yield from ((part, "error") for part in ast.walk(node.exc))
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name.endswith(("Error", "_error")):
            yield from ((part, "error") for part in ast.walk(node))
        elif name in _PRINTING:
            yield from ((part, "output") for part in ast.walk(node))
        yield from ((keyword.value, "help") for keyword in node.keywords if keyword.arg == "help")
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node.value, "docstring"
    if isinstance(node, ast.FunctionDef) and any("command" in ast.dump(one) for one in node.decorator_list):
        yield from ((node.body[0].value, "help") for _ in "." if isinstance(node.body[0], ast.Expr))


def _markdown(kind: str, path: str) -> Iterator[Passage]:
    """The paragraphs, list items and table rows of a Markdown file, each as one line; no code blocks, no headings."""
    text = (ROOT / path).read_text("utf-8")
    text = _CODE.sub(lambda block: "\n" * block[0].count("\n"), text)
    heading = ""
    for number, block in _blocks(text.splitlines()):
        if block.startswith("#"):
            heading = block.lstrip("# ")
        elif len(re.findall(r"[A-Za-z]{2,}", block)) >= _LEAST_WORDS and not block.startswith(("<!--", "![")):
            yield Passage("table" if block.startswith("|") else kind, path, number, block, heading, block)


def _blocks(lines: list[str]) -> Iterator[tuple[int, str]]:
    """(number of the first line, text) of each block, joined over line ends.

    A sentence that goes on in list items is one block with them.
    """
    begun, text = 0, ""
    for number, line in enumerate([*lines, ""], 1):
        alone = line.startswith(("#", "|", "<!--", "!["))
        item = bool(re.match(r"\s*([-*]|\d+\.) ", line))
        open_ended = bool(text) and not text.startswith(("#", "|", "<!--", "![")) and text[-1] not in ".:!?"
        goes_on = line.strip() and not alone and (open_ended if item else text and not text.startswith(("#", "|")))
        if goes_on:
            text = f"{text} {line.strip()}"
        elif line.strip() or not _goes_on_below(lines, number, open_ended):
            if text:
                yield begun, text
            begun, text = number, line.strip()
    if text:
        yield begun, text


def _goes_on_below(lines: list[str], number: int, open_ended: bool) -> bool:
    """Whether a sentence that is open before an empty line continues in a list after that line."""
    return open_ended and number < len(lines) and bool(re.match(r"\s*[-*] ", lines[number]))


def sentences(passage: Passage) -> list[Passage]:
    """The sentences of a passage that have enough words, as single lines."""
    blocks = re.split(r"\n\s*\n", inspect.cleandoc(passage.text))
    lines = [" ".join(block.split()) for block in blocks if not block.startswith("    ")]
    found = [one for line in lines for one in re.split(r"(?<=[.!?])\s+(?=[A-Z`{\"])", line)]
    return [passage._replace(text=one) for one in found if len(re.findall(r"[A-Za-z]{2,}", one)) >= _LEAST_WORDS]
