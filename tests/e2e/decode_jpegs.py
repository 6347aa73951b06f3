"""Admit odd JPEGs and decode them as training does, in forks: `python -m tests.e2e.decode_jpegs FIRST LAST`.

Prints one JSON object: how many were looked at, and each problem, signals that ended a fork among them.
"""

import json
import os
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from headrace.prep.images.admit import BadImageError, Pixels, admit, sides
from headrace.prep.images.resize import shrink
from headrace.shards.prepared import Prepared
from headrace.shards.unsafe import why_unsafe_at
from headrace.train.input.decode import dali
from headrace.train.input.decode.regions import Regions
from tests.prep.odd_jpegs import OddJpeg, odd_jpeg

CHUNK = 50  # files a fork
_LEVELS = 3  # of mean difference that are allowed


def apart(seen: Pixels, expected: list[Pixels]) -> float:
    """Mean difference in levels from the nearest of the pictures of the same shape."""
    same = [one for one in expected if one.shape == seen.shape]
    return min((float(np.abs(one.astype(int) - seen).mean()) for one in same), default=255.0)


def whole(jpegs: list[bytes]) -> list[Pixels]:
    """All pixels, as the decoded cache gets them."""
    listed = [np.frombuffer(one, np.uint8) for one in jpegs]
    (batch,) = dali.decoding(lambda: listed, len(jpegs), threads=1).run()
    return [image.copy() for image in dali.arrays(batch)]


def parts(jpegs: list[bytes], regions: Regions) -> list[Pixels]:
    """The regions, as training gets them."""
    decoder = dali.Decoder(len(jpegs), 1)
    return [one.copy() for one in decoder([np.frombuffer(jpeg, np.uint8) for jpeg in jpegs], regions).arrays()]


def region(chance: random.Random, width: int, height: int) -> list[list[int]]:
    """A random part: its first row and column, its height and width."""
    rows, columns = sorted(chance.sample(range(height + 1), 2)), sorted(chance.sample(range(width + 1), 2))
    return [[rows[0], columns[0]], [rows[1] - rows[0], columns[1] - columns[0]]]


class Trained(NamedTuple):
    """A file that training may be given: what the index says of it, and the pictures that it may be."""

    name: str
    jpeg: bytes
    sides: tuple[int, int]
    pictures: list[Pixels]


def look(first: int, last: int) -> dict[str, Any]:
    """Counts and problems of the files from `first` to before `last`."""
    counts: Counter[str] = Counter()
    problems: list[str] = []
    trained: list[Trained] = []
    for number in range(first, last):
        odd = odd_jpeg(number)
        name, pictures = f"{number} {odd.kind}", odd.uprights()
        counts.update({"files": 1, "evil": odd.evil})
        admitted = admit(odd.data)
        trained.append(Trained(name, admitted.jpeg, admitted[1:3], pictures))
        counts["kept"] += admitted.jpeg == odd.data
        trained += smaller(name, odd, pictures)
        try:
            trained.append(Trained(f"{name}, as it is", odd.data, sides(odd.data), pictures))
        except BadImageError:
            counts["not as it is"] += 1
            if not of_headers(odd.data):
                counts["another image than prep sees"] += 1
                whole([odd.data])  # which is an error in training, or another picture, but no signal
    return {"counts": counts, "problems": problems + decode(trained, random.Random(first))}


def smaller(name: str, odd: OddJpeg, pictures: list[Pixels]) -> list[Trained]:
    """The image as prep makes it smaller."""
    side = max(1, max(odd.stored.shape[:2]) * 2 // 3)
    made = admit(odd.data, Prepared(side))
    if made.height * made.width < 64:  # JPEG has no pictures of so few pixels that look the same
        return []
    return [Trained(f"{name}, smaller", made.jpeg, made[1:3], [shrink(one, side) for one in pictures])]


def of_headers(data: bytes) -> str:
    """What the look at a set's headers says of a file."""
    descriptor = os.memfd_create("image")
    os.write(descriptor, data)
    fault = why_unsafe_at(descriptor, 0, len(data))
    os.close(descriptor)
    return fault


def decode(trained: list[Trained], chance: random.Random) -> list[str]:
    """What is wrong with files that training would decode."""
    jpegs = [jpeg for _, jpeg, _, _ in trained]
    corners = np.array([region(chance, *size) for _, _, size, _ in trained], np.int32)
    regions = Regions(np.ascontiguousarray(corners[:, 0]), np.ascontiguousarray(corners[:, 1]))
    rounds = [(whole(jpegs), parts(jpegs, regions)) for _ in range(2)]
    problems = []
    for row, (name, _, size, pictures) in enumerate(trained):
        (image, part), (again, part_again) = ((one[row], other[row]) for one, other in rounds)
        (top, left), (height, width) = corners[row].tolist()
        difference = apart(image, pictures)
        cut = image[top : top + height, left : left + width]
        if image.shape[1::-1] != size:
            problems.append(f"{name}: {image.shape}, the index would say {size}")
        elif difference > _LEVELS:
            problems.append(f"{name}: {difference:.1f} levels apart")
        elif not (np.array_equal(image, again) and np.array_equal(part, part_again)):
            problems.append(f"{name}: other pixels the second time")
        elif apart(part, [cut]) > _LEVELS:
            problems.append(f"{name}: its part {corners[row].tolist()} differs from the whole")
    return problems


def forked(first: int, last: int, folder: Path) -> dict[str, Any]:
    """`look` in a process of its own; a chunk that a signal ends is tried file by file."""
    answer = folder / f"{first}-{last}.json"
    child = os.fork()
    if child == 0:
        answer.write_text(json.dumps(look(first, last)))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status == 0:
        found: dict[str, Any] = json.loads(answer.read_text())
        return found
    if last - first == 1:
        return {"counts": {"files": 1}, "problems": [f"{first} {odd_jpeg(first).kind}: ended with status {status}"]}
    return joined([forked(number, number + 1, folder) for number in range(first, last)])


def joined(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """One answer for all."""
    counts: Counter[str] = Counter()
    for answer in answers:
        counts.update(answer["counts"])
    return {"counts": counts, "problems": [problem for answer in answers for problem in answer["problems"]]}


def main(first: int, last: int, folder: Path) -> None:
    """Look at all, chunk by chunk."""
    starts = range(first, last, CHUNK)
    sys.stdout.write(json.dumps(joined([forked(start, min(start + CHUNK, last), folder) for start in starts])))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
