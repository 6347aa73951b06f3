"""The words that texts for people use and avoid; CONTRIBUTING.md has them as a list."""

import re

import pytest

from tests.checkout import ROOT
from tests.project.prose import KINDS, Passage, _blocks, literals, passages, passages_of, sentences
from tests.project.sentences import draw
from tests.project.sources import Source
from tests.project.words import AVOIDED, faults


def test_texts_use_the_words_of_the_list() -> None:
    """No error, help, docstring or page has a word that the list replaces."""
    found = [fault for passage in (*passages(), *literals("benchmarks")) for fault in faults(passage)]
    assert found == []


def test_list_is_in_contributing() -> None:
    """CONTRIBUTING.md shows each word to avoid, with the one to use instead."""
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert [one.avoid for one in AVOIDED if f"| {one.avoid} | {one.use} |" not in page] == []


@pytest.mark.parametrize("word", [one.example for one in AVOIDED])
def test_avoided_word_is_found(word: str) -> None:
    """Each pattern finds its example, in a docstring and across a line's end."""
    for text in (f"Here {word} is found.", "Here " + word.replace(" ", "\n", 1) + " is found."):
        assert len(faults(Passage("docstring", "a.py", 1, text))) == 1, text


def test_kinds_are_told_apart() -> None:
    """Errors, help, output and docstrings are found, f-strings as one text each."""
    text = (
        '"""What this module is for, say."""\n'
        'import click\n@click.option("--a", help="This is help for an option.")\n'
        '@click.command("b")\ndef b() -> None:\n    """Do all that a command does."""\n'
        '    say("this is a line of output")\n    raise DataError('
        'f"{a.path}: this is {len(b)} an error", "Do what is said here.")\n'
    )
    found = {(one.kind, one.text) for one in passages_of(Source("a.py", text))}
    assert found == {
        ("docstring", "What this module is for, say."),
        ("help", "This is help for an option."),
        ("help", "Do all that a command does."),
        ("output", "this is a line of output"),
        ("error", "{path}: this is {b} an error"),
        ("error", "Do what is said here."),
    }
    whole = {one.whole for one in passages_of(Source("a.py", text)) if one.kind == "error"}
    assert whole == {"{path}: this is {b} an error Do what is said here."}


def test_code_is_no_prose() -> None:
    """Neither code blocks of pages nor examples in docstrings are drawn."""
    assert not [one for one in passages() if one.kind in ("readme", "docs") and one.text.startswith("```")]
    text = "First sentence of a text. Second\nsentence of a text.\n\n    a = some code that is no sentence\n"
    assert [re.sub(r"\s+", " ", one.text) for one in sentences(Passage("docs", "a", 1, text))] == [
        "First sentence of a text.",
        "Second sentence of a text.",
    ]


def test_lines_are_joined_to_sentences() -> None:
    """A paragraph or list item is one text over its line ends; a sentence that goes on in a list has its items."""
    page = (
        "# A heading\n\nOne sentence\nover two lines.\n- an item\n  of two lines.\n- another item.\n\nRefused if it\n\n"
    )
    page += "- is old;\n- is new.\n\n| a | row |\nThe end."
    assert [text for _, text in _blocks(page.splitlines())] == [
        "# A heading",
        "One sentence over two lines.",
        "- an item of two lines.",
        "- another item.",
        "Refused if it - is old; - is new.",
        "| a | row |",
        "The end.",
    ]


def test_surroundings_are_told() -> None:
    """A text inside a class or function comes with the line that defines it, a page's text with its heading."""
    text = 'class A:\n    @property\n    def b(self) -> int:\n        """Do all that a method does."""\n'
    assert [one.within for one in passages_of(Source("a.py", text))] == ["class A: def b(self) -> int:"]
    assert any(one.within == "Several hosts" for one in passages() if one.path == "docs/reliability.md")


def test_draw_follows_from_the_seed() -> None:
    """The same seed draws the same sentences, another seed others; each kind has its share."""
    first, again, other = draw(1, 50), draw(1, 50), draw(2, 50)
    assert first == again != other
    assert {one.kind: sum(two.kind == one.kind for two in first) for one in first} == dict.fromkeys(
        (kind for kind in KINDS if kind not in ("output", "table")), 10
    )
