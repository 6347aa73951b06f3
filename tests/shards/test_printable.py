"""Foreign text on a terminal."""

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.shards.errors import DataError, error_line
from headrace.shards.printable import printable
from headrace.shards.streams import print_result, say

TEXTS = st.text(st.characters(exclude_categories=()))  # surrogates too


@given(TEXTS)
def test_no_control_character_is_left(text: str) -> None:
    """Neither C0 nor C1 controls, turned text, line separators, nor bytes that are no UTF-8; all can be encoded."""
    shown = printable(text)
    assert not {unicodedata.category(one) for one in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert shown.encode("utf-8").decode("utf-8") == shown


def has_pair(text: str) -> bool:
    """Whether two surrogates follow each other that are one character to JSON; no name that Python reads has any."""
    return re.search("[\ud800-\udbff][\udc00-\udfff]", text) is not None


@given(st.text(st.characters(max_codepoint=0xFFFF, exclude_characters='"\\')).filter(lambda text: not has_pair(text)))
def test_codes_are_those_of_json(text: str) -> None:
    """Who has the line has the text: a JSON string reads the codes back."""
    assert json.loads(f'"{printable(text)}"') == text


@pytest.mark.parametrize("text", ["k\u00f6ln \u2192 \u5317\u4eac", "a b-c_d.jpg: 5 %"])
def test_what_prints_stays(text: str) -> None:
    """Letters of any alphabet are shown as they are."""
    assert printable(text) == text


NASTY = "a\x1b[2Jb\x9b31mc\u202ed\udcffe"
CODES = "a\\u001b[2Jb\\u009b31mc\\u202ed\\udcffe"


def test_everything_that_prints_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    """A line, a result of several lines, and an error: only line ends of our own are left."""
    say(f"{NASTY}\nx")
    print_result(f"{NASTY}\nx")
    say(NASTY, error=True)
    seen = capsys.readouterr()
    assert (seen.out, seen.err) == (f"{CODES}\\u000ax\n{CODES}\nx\n", f"{CODES}\n")
    assert error_line(DataError(f"{NASTY}\nx")) == f"headrace: error: {CODES} x"
