"""Text from outside is made safe to print on a terminal."""

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
    """No controls, turned text, line separators or invalid UTF-8 are left, and the result can be encoded."""
    shown = printable(text)
    assert not {unicodedata.category(one) for one in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert shown.encode("utf-8").decode("utf-8") == shown


def has_pair(text: str) -> bool:
    """Whether two adjacent surrogates form one character in JSON; no file name that Python reads has such a pair."""
    return re.search("[\ud800-\udbff][\udc00-\udfff]", text) is not None


@given(st.text(st.characters(max_codepoint=0xFFFF, exclude_characters='"\\')).filter(lambda text: not has_pair(text)))
def test_codes_are_those_of_json(text: str) -> None:
    """A JSON parser reads the codes back, so whoever has the line has the original text."""
    assert json.loads(f'"{printable(text)}"') == text


@pytest.mark.parametrize("text", ["k\u00f6ln \u2192 \u5317\u4eac", "a b-c_d.jpg: 5 %"])
def test_what_prints_stays(text: str) -> None:
    """Letters of any alphabet are shown unchanged."""
    assert printable(text) == text


NASTY = "a\x1b[2Jb\x9b31mc\u202ed\udcffe"
CODES = "a\\u001b[2Jb\\u009b31mc\\u202ed\\udcffe"


def test_everything_that_prints_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    """In a line, a result of several lines and an error, only our own line ends are left."""
    say(f"{NASTY}\nx")
    print_result(f"{NASTY}\nx")
    say(NASTY, error=True)
    seen = capsys.readouterr()
    assert (seen.out, seen.err) == (f"{CODES}\\u000ax\n{CODES}\nx\n", f"{CODES}\n")
    assert error_line(DataError(f"{NASTY}\nx")) == f"headrace: error: {CODES} x"
