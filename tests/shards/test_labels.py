"""The meaning of the text in a .cls member."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.shards.labels import BEYOND, are_integers, classes_of, read

INTEGERS = st.integers(0, 2000).map(str)
WORDS = st.text("0123456789-+.eE_ a\u0663", min_size=1, max_size=6).filter(
    lambda text: not (text.isascii() and text.isdigit() and str(int(text)) == text)
)


@given(st.sets(INTEGERS, min_size=1))
def test_integers_are_class_numbers(labels: set[str]) -> None:
    """Each integer is kept as the class number, and every smaller number has a class too."""
    classes = classes_of(labels)
    assert classes == [str(number) for number in range(max(map(int, labels)) + 1)]


@given(st.sets(INTEGERS), WORDS)
def test_one_word_makes_words_of_all(labels: set[str], word: str) -> None:
    """One word among the labels makes all of them names: the classes are the sorted texts, none merged."""
    assert not are_integers([word])
    assert classes_of({*labels, word}) == sorted({*labels, word})


@pytest.mark.parametrize("largest", ["999999", "9" * 9, "9" * 200])
def test_stray_integer_makes_no_million_classes(largest: str) -> None:
    """An integer far above the number of different labels is an error that says so, before any class is made."""
    with pytest.raises(ValueError, match=f"the largest of 3 different labels is {largest[:40]}"):
        classes_of({"0", "1", largest})


def test_bound_of_integers() -> None:
    """The largest integer accepted as a class number is the one that the error names."""
    assert len(classes_of({"0", str(BEYOND + 1)})) == BEYOND + 2
    with pytest.raises(ValueError, match=f"the limit is {BEYOND + 1:,}"):
        classes_of({"0", str(BEYOND + 2)})


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"7", "7"),
        (b"7\n", "7"),
        (b" ant \r\n", "ant"),
        ("k\u00f6ln".encode(), "k\u00f6ln"),
        (b"w" * 255, "w" * 255),
        (b"w" * 256, None),
        (b"", None),
        (b"\xff", None),
        (b"a\x1bb", None),
        (b"a\0", None),
    ],
)
def test_reading_a_label(data: bytes, found: str | None, tmp_path: Path) -> None:
    """White space around a label is ignored; text that is not one line is refused, never cut or replaced."""
    (tmp_path / "label").write_bytes(b"before" + data)
    descriptor = os.open(tmp_path / "label", os.O_RDONLY)
    try:
        if found is not None:
            assert read(descriptor, 6, len(data)) == found
        else:
            with pytest.raises(ValueError, match="its label"):
                read(descriptor, 6, len(data))
    finally:
        os.close(descriptor)
