"""Shows numbers of samples as lines of text: for each class, and for each bin of a histogram."""

import numpy as np
from numpy.typing import NDArray

NAMED = 40  # with more classes, counts are grouped and classes are not named
_GROUPS = 10
_BAR = 40  # characters of the longest bar
_NAME = 28  # characters of a class name


def histogram(names: tuple[str, ...], counts: NDArray[np.int64]) -> list[str]:
    """Lines with the number of samples of each class, in the order of the labels.

    If there are more than NAMED classes, each line has a range of sample counts and the number of classes in that
    range.
    """
    if len(names) > NAMED:
        return _grouped(counts)
    shown = [short(name) for name in names]
    width = max(map(len, shown))
    top = max(int(counts.max()), 1)
    return [
        f"{name:<{width}} {count:>9,} {_bar(count, top)}" for name, count in zip(shown, counts.tolist(), strict=True)
    ]


def _grouped(counts: NDArray[np.int64]) -> list[str]:
    """Lines with the number of classes in each range of sample counts; all ranges have the same width."""
    low, high = int(counts.min()), int(counts.max())
    step = (high - low) // _GROUPS + 1
    classes = np.bincount((counts - low) // step).tolist()
    lines = []
    for group, found in enumerate(classes):
        first, last = low + group * step, min(low + (group + 1) * step - 1, high)
        span = f"{first:,}" if first == last else f"{first:,} to {last:,}"
        lines.append(f"{span:>22} samples: {found:>9,} classes {_bar(found, max(classes))}".rstrip())
    return lines


def in_bins(edges: tuple[float, ...], counts: NDArray[np.int64]) -> list[str]:
    """Lines with the range and the number of samples of each bin, from the first to the last bin that has a sample.

    `edges` are the lower ends of the bins.
    """
    used = np.flatnonzero(counts)
    if not len(used):
        return []
    top = int(counts.max())
    return [
        f"{_span(edges, bin_):>22} {count:>9,} {_bar(count, top)}".rstrip()
        for bin_, count in enumerate(counts.tolist())
        if used[0] <= bin_ <= used[-1]
    ]


def _span(edges: tuple[float, ...], bin_: int) -> str:
    first, whole = edges[bin_], isinstance(edges[0], int)
    if bin_ + 1 == len(edges):
        return f"{first:,} and more" if whole else f"{first:.2f} and more"
    last = edges[bin_ + 1]
    return f"{first:,} to {last - 1:,}" if whole else f"{first:.2f} to {last:.2f}"


def _bar(value: int, top: int) -> str:
    """A bar of # characters for a value from 0 to `top`; only the value 0 has an empty bar."""
    return "#" * max(round(_BAR * value / top), min(value, 1))


def short(name: str, length: int = _NAME) -> str:
    """The part of a class name before its first comma, at most `length` characters; ? replaces unprintable ones."""
    first = "".join(one if one.isprintable() else "?" for one in name.split(",", 1)[0].strip())
    return first if len(first) <= length else first[: length - 3] + "..."
