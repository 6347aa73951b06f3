import numpy as np

from headrace.prep.histogram import NAMED, histogram, in_bins, short


def test_few_classes_have_a_line_each() -> None:
    """Each class has its count and a bar; an empty class has no bar, and a small one at least a mark."""
    lines = histogram(("cat, tabby", "dog", "eel"), np.array([400, 1, 0]))
    assert [line.split() for line in lines] == [["cat", "400", "#" * 40], ["dog", "1", "#"], ["eel", "0"]]


def test_many_classes_are_grouped_by_count() -> None:
    """The ranges of counts add up to all classes."""
    counts = np.arange(100, 100 + 3 * (NAMED + 60), 3)
    lines = histogram(tuple(f"c{k}" for k in range(len(counts))), counts)
    assert sum(int(line.split("samples:")[1].split()[0]) for line in lines) == len(counts)
    assert lines[0].split("samples")[0].strip() == "100 to 129"
    assert histogram(("x",) * 50, np.full(50, 7))[0].split()[:2] == ["7", "samples:"]


def test_bins_from_the_first_used_one_to_the_last() -> None:
    """Empty bins between used ones have a line; the last bin has no end; fractions have two digits."""
    lines = in_bins((1, 10, 1000, 2000, 3000), np.array([0, 4, 0, 8, 0]))
    assert [line.split() for line in lines] == [
        ["10", "to", "999", "4", "#" * 20],
        ["1,000", "to", "1,999", "0"],
        ["2,000", "to", "2,999", "8", "#" * 40],
    ]
    assert [line.split()[:4] for line in in_bins((0.0, 1 / 3, 1.5), np.array([1, 0, 1]))] == [
        ["0.00", "to", "0.33", "1"],
        ["0.33", "to", "1.50", "0"],
        ["1.50", "and", "more", "1"],
    ]
    assert in_bins((1, 2), np.zeros(2, np.int64)) == []


def test_no_sample_at_all() -> None:
    """A split without samples is shown as such."""
    assert [line.split()[1] for line in histogram(("a", "b"), np.zeros(2, np.int64))] == ["0", "0"]


def test_names_cannot_steer_the_terminal() -> None:
    """Only the printable part of a name is shown, and no more than fits in a line."""
    assert short("\x1b[31mred\n, b") == "?[31mred"
    assert len(short("x" * 300)) == 28
