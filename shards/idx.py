"""DALI's text index of one tar, format v1.2: the position of each member of each sample.

    v1.2 <samples>
    <extension> <offset> <size> <member name> [<extension> <offset> <size> <member name> ...]

The index is equal, byte for byte, to the index that DALI's wds2idx writes for the same tar.
"""

from collections.abc import Iterable, Sequence

from headrace.shards.errors import DataError
from headrace.shards.tar import BLOCK, JPEG_EXTENSION, LABEL_EXTENSION

VERSION = "v1.2"
_DIGITS = 19  # digits of the largest 64-bit offset


def sample_line(key: str, offset: int, size: int, label: int) -> str:
    """The index line of a sample that `TarWriter.add` wrote to the tar."""
    label_offset = offset + size + -size % BLOCK + BLOCK
    return (
        f"{JPEG_EXTENSION} {offset} {size} {key}.{JPEG_EXTENSION} "
        f"{LABEL_EXTENSION} {label_offset} {len(str(label))} {key}.{LABEL_EXTENSION}"
    )


def render(lines: Sequence[str]) -> bytes:
    """The content of the index file with the lines of all samples."""
    return "\n".join((f"{VERSION} {len(lines)}", *lines, "")).encode("utf-8")


def parse(text: str) -> Iterable[dict[str, tuple[int, int, str]]]:
    """Yield a dictionary for each sample: for each extension, the (offset, size, member name) of its member.

    Raises DataError.
    """
    first, *lines = text.splitlines() or [""]
    if first.split() != [VERSION, str(len(lines))]:
        raise DataError(f"the first line is {first[:40]!r}, expected '{VERSION} {len(lines)}'")
    for number, line in enumerate(lines, start=2):
        words = line.split()
        if not words or len(words) % 4 or not all(map(_is_count, words[1::4] + words[2::4])):
            raise DataError(f"line {number} does not consist of 'extension offset size name': {line[:80]!r}")
        if len(set(words[::4])) < len(words[::4]):
            raise DataError(f"line {number} has two members with the same extension: {line[:80]!r}")
        yield {words[i]: (int(words[i + 1]), int(words[i + 2]), words[i + 3]) for i in range(0, len(words), 4)}


def extension_of(name: str) -> str:
    """The extension of a member, as in the webdataset library: the text after the first dot in the file's name."""
    return name.rpartition("/")[2].partition(".")[2].lower()


def _is_count(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= _DIGITS
