"""Torchvision's random resized crop, for contenders that have no such operation."""

import math
import random

from benchmarks.input.contenders.task import AREA, RATIO

Box = tuple[int, int, int, int]


def random_box(width: int, height: int) -> Box:
    """The left, top, width and height of a random crop; the whole image if ten draws do not fit."""
    for _ in range(10):
        area = width * height * random.uniform(*AREA)
        ratio = math.exp(random.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return random.randint(0, width - w), random.randint(0, height - h), w, h
    return 0, 0, width, height
