"""Perceptual hashes of images at admission: what they cost beside prep, and which pairs of images they find.

    python -m benchmarks.prep.near_duplicates TINY [--copies 5500] [--timed 4000] [--repeats 5] [--size 500 375]

TINY is TinyImageNet as a zip. Every hash is of 64 bits, of the grey image: "difference" compares neighbours of 9 x 8
means, "green" does so on the green levels alone, which needs no grey image, and "cosine" compares the 8 x 8 lowest
frequencies of 32 x 32 means with their median. Pillow makes the means.
Cost: `admit`, which decodes the image in full, and each hash of the pixels that it decoded, over the same images in
turns, in one process; of TinyImageNet's, and of the same images made larger, which are JPEGs of about the size of
photographs. `prep` is the CPU time of the whole command for an image of the same zip.
Pairs: copies of some images, changed as people change them, are added, and all pairs of images are compared. Recall is
the share of copies that lie within a distance of their image. A pair of other images within that distance is a
look-alike: "same" if the grey levels of the two differ by less than 8 on average after each got the same mean and
spread, "other" if not. Precision counts copies and same look-alikes as right.
"""

import io
import random
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.processes import time_command
from benchmarks.harness.tables import Row, spread
from headrace.prep.images.admit import admit, decode, encode
from headrace.shards.prepared import Prepared

DISTANCES = (0, 2, 4, 6, 8, 10)
SAME = 8.0  # grey levels
_ROWS = 32  # images that are compared with all later ones at a time
_COSINES = np.cos(np.pi / 64 * np.outer(np.arange(8), 2 * np.arange(32) + 1))
Pixels = Any


def difference(pixels: Pixels) -> int:
    """Whether each of 9 x 8 means is brighter than the next one in its row."""
    small = np.asarray(Image.fromarray(pixels).convert("L").resize((9, 8), Image.Resampling.BOX))
    return _word(small[:, 1:] > small[:, :-1])


def green(pixels: Pixels) -> int:
    """The same of the green levels."""
    plane = Image.fromarray(np.ascontiguousarray(pixels[:, :, 1]))
    small = np.asarray(plane.resize((9, 8), Image.Resampling.BOX))
    return _word(small[:, 1:] > small[:, :-1])


def cosine(pixels: Pixels) -> int:
    """Whether each of the 8 x 8 lowest frequencies is above their median."""
    small = np.asarray(Image.fromarray(pixels).convert("L").resize((32, 32), Image.Resampling.BOX), np.float64)
    low = _COSINES @ small @ _COSINES.T
    return _word(low > np.median(low))


HASHES: dict[str, Callable[[Pixels], int]] = {"difference": difference, "green": green, "cosine": cosine}


def _word(bits: Any) -> int:
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def compressed(image: Image.Image, quality: int) -> bytes:
    """A JPEG of Pillow's."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


_BRIGHTER = [min(255, level * 6 // 5) for level in range(256)]
CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "compressed again, quality 75": lambda image: compressed(image, 75),
    "compressed again, quality 30": lambda image: compressed(image, 30),
    "3/4 of the size": lambda image: compressed(image.resize((image.width * 3 // 4, image.height * 3 // 4)), 90),
    "brighter by a fifth": lambda image: compressed(image.point(_BRIGHTER * 3), 90),
    "border of 1/16 cut off": lambda image: compressed(ImageOps.crop(image, image.width // 16), 90),
    "mirrored": lambda image: compressed(ImageOps.mirror(image), 90),
}


def images(tiny: Path) -> Iterator[tuple[str, bytes]]:
    """Path and bytes of every image with a label."""
    with zipfile.ZipFile(tiny) as archive:
        for name in archive.namelist():
            if name.endswith(".JPEG") and "/test/" not in name:
                yield name, archive.read(name)


def as_photograph(data: bytes, size: tuple[int, int]) -> bytes:
    """The image as a larger JPEG with grain, so that it has the bytes of a photograph."""
    pixels = np.asarray(Image.fromarray(decode(data)).resize(size, Image.Resampling.BICUBIC), np.float64)
    grain = np.random.default_rng(len(data)).normal(0, 6, (*pixels.shape[:2], 1))
    return encode((pixels + grain).clip(0, 255).astype(np.uint8), 90)


def costs(data: list[bytes], repeats: int) -> dict[str, list[float]]:
    """CPU microseconds an image: of admission, and of each hash, in turns."""
    prepared = Prepared()
    found: dict[str, list[float]] = {"admit": [], **{name: [] for name in HASHES}}
    pixels = [decode(one) for one in data]
    for _ in range(repeats):
        began = time.process_time()
        for one in data:
            admit(one, prepared)
        found["admit"].append((time.process_time() - began) / len(data) * 1e6)
        for name, hashed in HASHES.items():
            began = time.process_time()
            for image in pixels:
                hashed(image)
            found[name].append((time.process_time() - began) / len(data) * 1e6)
    return found


def cost_rows(what: str, found: dict[str, list[float]]) -> list[Row]:
    """A row for each, with its share of admission."""
    whole = median(found["admit"])
    rows: list[Row] = []
    for name, own in found.items():
        row = {"images": what, "step": name, "n": len(own), **spread("CPU us an image", own, 1)}
        rows.append({**row, "share of admission": f"{median(own) / whole:.0%}"})
    return rows


def within(words: Any, most: int) -> Iterator[tuple[int, int, int]]:
    """Pairs of rows whose words differ in at most `most` bits, with the distance."""
    for first in range(0, len(words), _ROWS):
        mine = words[first : first + _ROWS]
        apart = np.bitwise_count(mine[:, None] ^ words[None, first:])
        for row, other in zip(*np.nonzero(apart <= most), strict=True):
            if other > row:
                yield first + int(row), first + int(other), int(apart[row, other])


def grey(pixels: Pixels) -> Any:
    """64 x 64 grey levels of mean 128 and spread 48."""
    small = np.asarray(Image.fromarray(pixels).convert("L").resize((64, 64), Image.Resampling.BOX), np.float64)
    return ((small - small.mean()) / max(small.std(), 1.0) * 48 + 128).clip(0, 255)


def pair_rows(words: Any, greys: Any, original: Any, kinds: Any) -> list[Row]:
    """A row for each distance; `original` is the row of the image that a copy was made of, -1 for images."""
    found = {kind: np.zeros(max(DISTANCES) + 1, np.int64) for kind in CHANGES}
    alike = {"same": np.zeros(max(DISTANCES) + 1, np.int64), "other": np.zeros(max(DISTANCES) + 1, np.int64)}
    for one, other, apart in within(words, max(DISTANCES)):
        roots = [place if original[place] < 0 else original[place] for place in (one, other)]
        if roots[0] == roots[1]:
            if original[one] < 0 or original[other] < 0:
                copy = other if original[one] < 0 else one
                found[kinds[copy]][apart] += 1
        elif original[one] < 0 and original[other] < 0:  # pairs of images, not of their copies
            same = np.abs(greys[one].astype(np.float64) - greys[other]).mean() < SAME
            alike["same" if same else "other"][apart] += 1
    copies = {kind: int((kinds == kind).sum()) for kind in CHANGES}
    rows = []
    for most in DISTANCES:
        seen = {kind: int(own[: most + 1].sum()) for kind, own in found.items()}
        same, other = (int(alike[name][: most + 1].sum()) for name in ("same", "other"))
        right = sum(seen.values()) + same
        rows.append(
            {
                "distance": most,
                **{f"recall, {kind}": f"{seen[kind] / copies[kind]:.1%}" for kind in CHANGES},
                "look-alikes, same": same,
                "look-alikes, other": other,
                "precision": f"{right / max(right + other, 1):.1%}",
            }
        )
    return rows


def compared(tiny: Path, copies: int) -> dict[str, list[Row]]:
    """Recall and precision of each hash over all images and some copies."""
    dealt, names = random.Random(5), list(CHANGES)
    every = [data for _, data in images(tiny)]
    unique = list(dict.fromkeys(every))
    chosen = dealt.sample(range(len(unique)), copies)
    words: dict[str, list[int]] = {name: [] for name in HASHES}
    greys = np.empty((len(unique), 64, 64), np.uint8)

    def add(pixels: Pixels) -> None:
        for name, hashed in HASHES.items():
            words[name].append(hashed(pixels))

    for row, data in enumerate(unique):
        pixels = decode(data)
        add(pixels)
        greys[row] = grey(pixels)
    for number, row in enumerate(chosen):
        add(decode(CHANGES[names[number % len(names)]](Image.fromarray(decode(unique[row])))))
    original = np.array([-1] * len(unique) + chosen)
    kinds = np.array([""] * len(unique) + [names[number % len(names)] for number in range(copies)])
    return {
        f"Pairs within a distance, {name} hash": pair_rows(np.array(own, np.uint64), greys, original, kinds)
        for name, own in words.items()
    }


def prep_cost(tiny: Path, work: Path) -> float:
    """CPU microseconds an image of the whole command."""
    run = time_command([sys.executable, "-m", "headrace", "prep", str(tiny), str(work / "set")])
    return float(run["cpu_seconds"]) / 110_000 * 1e6


def main() -> None:
    """Time, compare, write."""
    benchmark = Benchmark(__file__, __doc__, "near-duplicates", "Perceptual hashes at admission")
    benchmark.add("tiny", type=path, help="TinyImageNet as a zip")
    benchmark.add("--copies", type=int, default=5500, help="changed copies that are added")
    benchmark.add("--timed", type=int, default=4000, help="images that are timed; a tenth of them as photographs")
    benchmark.add("--size", type=int, nargs=2, default=[500, 375], help="width and height of those, pixels")
    benchmark.share(repeats=5)
    asked = benchmark.parse()
    small = [data for (_, data), _ in zip(images(asked.tiny), range(asked.timed), strict=False)]
    wide, high = asked.size
    large = [as_photograph(data, (wide, high)) for data in small[::10]]
    table = cost_rows("64 x 64", costs(small, asked.repeats))
    what = f"{wide} x {high}, {sum(map(len, large)) / len(large) / 1000:.0f} KB"
    table += cost_rows(what, costs(large, asked.repeats))
    with tempfile.TemporaryDirectory() as name:
        benchmark.note(prep=f"{prep_cost(asked.tiny, Path(name)):.0f} CPU us an image of the whole command")
    print("timed", file=sys.stderr, flush=True)
    benchmark.write({"Cost": table, **compared(asked.tiny, asked.copies)})


if __name__ == "__main__":
    main()
