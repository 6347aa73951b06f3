"""Makes a tree of photographs of ImageNet's size from large pictures, from which `headrace prep` makes a shard set.

    python -m benchmarks.input.photographs PICTURES OUT [--count 4096] [--sides 500 375] [--grain 12] [--quality 90]
    headrace prep OUT SHARDS

PICTURES is a folder with JPEGs of at least 1,000 x 750 pixels at any depth. Debian's packages of wallpapers have a
hundred such pictures (mate-backgrounds, plasma-workspace-wallpapers, lomiri-wallpapers-16.04, -20.04,
ukui-wallpapers). Each photograph is a random part of a picture, shrunk and with added grain, so that its JPEG, 4:2:0,
has about as many bytes as one from a camera. Equal arguments make equal files.
"""

import argparse
import random
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

LEAST = 2  # a picture's sides must be at least this multiple of a photograph's sides
SHARE = 0.05  # share of the photographs for validation


def main() -> None:
    """Make the tree."""
    about = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.input.photographs", description=about)
    parser.add_argument("pictures", type=Path, help="a folder with large JPEGs")
    parser.add_argument("out", type=Path, help="a new folder")
    parser.add_argument("--count", type=int, default=4096, help="number of photographs")
    parser.add_argument("--sides", type=int, nargs=2, default=[500, 375], help="width and height, pixels")
    parser.add_argument("--grain", type=float, default=12.0, help="standard deviation of the grain, levels")
    parser.add_argument("--quality", type=int, default=90, help="quality of the JPEGs")
    asked = parser.parse_args()
    wide, high = asked.sides
    large = [found for found in sorted(asked.pictures.rglob("*.jp*g")) if fits(found, wide, high)]
    if not large:
        parser.exit(2, f"{asked.pictures}: no JPEG of at least {LEAST * wide} x {LEAST * high} pixels\n")
    total = 0
    for number in range(asked.count):
        # One picture after another, so that each is opened once.
        folder = asked.out / ("val" if number % round(1 / SHARE) == 0 else "train")
        picture = large[number * len(large) // asked.count]
        to = folder / picture.stem / f"{number:06d}.jpg"
        to.parent.mkdir(parents=True, exist_ok=True)
        photograph(picture, wide, high, asked.grain, number).save(to, quality=asked.quality)
        total += to.stat().st_size
    print(f"{asked.count:,} photographs of {len(large)} pictures, {total / asked.count:,.0f} bytes each in the mean")


def fits(path: Path, wide: int, high: int) -> bool:
    """Whether a picture is in colour and large enough."""
    with Image.open(path) as image:
        return image.mode == "RGB" and image.width >= LEAST * wide and image.height >= LEAST * high


@lru_cache(maxsize=1)
def opened(path: Path) -> Image.Image:
    """The picture in a file, kept in memory until the next one is opened."""
    with Image.open(path) as image:
        return image.convert("RGB")


def photograph(path: Path, wide: int, high: int, grain: float, number: int) -> Image.Image:
    """A random part of a picture, up to the whole picture, resized to these sides, with grain."""
    image, chance = opened(path), random.Random(number)
    most = min(image.width / wide, image.height / high)
    scale = chance.uniform(1.5, most)
    left, top = (chance.uniform(0, side - scale * part) for side, part in ((image.width, wide), (image.height, high)))
    box = (left, top, left + scale * wide, top + scale * high)
    part = image.resize((wide, high), Image.Resampling.BILINEAR, box)
    noise = np.random.default_rng(number).normal(0, grain, (high, wide, 1))
    return Image.fromarray(np.clip(np.asarray(part) + noise, 0, 255).round().astype(np.uint8))


if __name__ == "__main__":
    main()
