"""Draws images of twelve classes that differ in shape, colour and texture.

Each class has a shape and a texture, and hues around one colour. Position, size, rotation, hue, background, noise and
an occluding patch vary, so that no single pixel reveals the class. A small network learns the classes well, but only
after some training. Only sums, products and square roots are used, because their results have the same bits on every
machine.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from headrace.shards.draws import Stream, hash64, uniforms

SIDE = 64
Array = NDArray[np.float64]

# Each function is positive inside its shape. x and y are about -1 to 1 in the shape's square. The slopes are near 1, so
# that a soft edge is about one pixel wide.
SHAPES: dict[str, Callable[[Array, Array], Array]] = {
    "disc": lambda x, y: 0.95 - np.sqrt(x * x + y * y),
    "square": lambda x, y: 0.8 - np.maximum(abs(x), abs(y)),
    "diamond": lambda x, y: (1.0 - abs(x) - abs(y)) * 0.7,
    "ring": lambda x, y: 0.25 - abs(np.sqrt(x * x + y * y) - 0.7),
    "cross": lambda x, y: np.maximum(np.minimum(0.3 - abs(x), 0.95 - abs(y)), np.minimum(0.3 - abs(y), 0.95 - abs(x))),
    "triangle": lambda x, y: np.minimum(0.7 - y, (y + 0.95) * 0.45 - abs(x) * 0.9),
    "bar": lambda x, y: np.minimum(0.35 - abs(y), 1.0 - abs(x)),
    "crescent": lambda x, y: np.minimum(0.95 - np.sqrt(x * x + y * y), np.sqrt((x - 0.5) ** 2 + y * y) - 0.7),
    "hourglass": lambda x, y: np.minimum((abs(y) - abs(x)) * 0.7 + 0.08, 0.9 - abs(y)),
    "corner": lambda x, y: np.minimum(0.9 - np.maximum(abs(x), abs(y)), np.maximum(-0.25 - x, y - 0.25)),
    "frame": lambda x, y: 0.22 - abs(np.maximum(abs(x), abs(y)) - 0.7),
    "pair": lambda x, y: 0.45 - np.sqrt((abs(x) - 0.52) ** 2 + y * y),
}
# Patterns of ones and zeros over the plane, with period 1 in both directions.
TEXTURES: dict[str, Callable[[Array, Array], Array]] = {
    "plain": lambda x, _: np.ones_like(x),
    "striped": lambda x, _: np.floor(2 * x) % 2,
    "checked": lambda x, y: (np.floor(2 * x) + np.floor(2 * y)) % 2,
    "dotted": lambda x, y: ((x % 1 - 0.5) ** 2 + (y % 1 - 0.5) ** 2 > 0.07).astype(np.float64),
}
COLOURS = ("red", "orange", "yellow", "lime", "green", "mint", "cyan", "azure", "blue", "violet", "magenta", "pink")
CLASSES = [
    (shape, tuple(TEXTURES)[number % len(TEXTURES)], COLOURS[number * 5 % len(COLOURS)])
    for number, shape in enumerate(SHAPES)
]
# (cosine, sine) of some rotations: right triangles with whole-number sides give them without computing a sine.
_TURNS = np.array([(1, 0), (24 / 25, 7 / 25), (12 / 13, 5 / 13), (24 / 25, -7 / 25), (12 / 13, -5 / 13)])
_DRAWS = 24  # random numbers for each image, without its noise


def draw(label: int, ids: NDArray[np.int64], seed: int) -> NDArray[np.uint8]:
    """Draw images of one class, uint8 (n, SIDE, SIDE, 3); each image is a pure function of (label, id, seed)."""
    shape, texture, colour = CLASSES[label]
    u = uniforms(seed, Stream.PREP, label, ids, count=_DRAWS)
    x, y = _coordinates(u)
    inside = np.clip(SHAPES[shape](x, y) * _scale(u)[:, None, None] + 0.5, 0.0, 1.0)[:, None]
    period = (1.2 + 0.8 * u[:, 4])[:, None, None]
    weave = TEXTURES[texture](x * period + u[:, 5, None, None], y * period + u[:, 6, None, None])[:, None]
    hue = COLOURS.index(colour) / len(COLOURS) + (u[:, 7] - 0.5) * 0.14
    bright = _rgb(hue, 0.55 + 0.45 * u[:, 8], 0.6 + 0.4 * u[:, 9])
    dark = bright * (0.25 + 0.25 * u[:, 10, None])
    surface = weave * (bright - dark)[:, :, None, None] + dark[:, :, None, None]
    ground = _background(u)
    image = ground + inside * (surface - ground)
    image = _patch(image, u) + _noise(label, ids, seed) * (0.04 + 0.12 * u[:, 11, None, None, None])
    pixels = np.clip(image * 255 + 0.5, 0.0, 255.0).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))


def _scale(u: Array) -> Array:
    """Half of the size of each shape, in pixels: 11 to 25."""
    return 11 + 14 * u[:, 2]


def _coordinates(u: Array) -> tuple[Array, Array]:
    """Each pixel's x and y relative to the shape, which is moved, scaled, rotated and mirrored in the image."""
    grid = np.arange(SIDE) + 0.5 - SIDE / 2
    centre = (u[:, :2] - 0.5) * 24
    x = (grid[None, None, :] - centre[:, 0, None, None]) / _scale(u)[:, None, None]
    y = (grid[None, :, None] - centre[:, 1, None, None]) / _scale(u)[:, None, None]
    turn = _TURNS[(u[:, 3] * len(_TURNS)).astype(np.int64)]
    cosine, sine = turn[:, 0, None, None], turn[:, 1, None, None]
    mirror = np.where(u[:, 12] < 0.5, -1.0, 1.0)[:, None, None]
    return (cosine * x + sine * y) * mirror, cosine * y - sine * x


def _rgb(hue: Array, saturation: Array, value: Array) -> Array:
    """Convert hue (of period 1), saturation and value, each of shape (n,), to RGB colours of shape (n, 3)."""
    wheel = np.clip(np.abs((hue[:, None] + np.array([0, 4, 2]) / 6) % 1 * 6 - 3) - 1, 0, 1)
    colours: Array = value[:, None] * (1 - saturation[:, None] * (1 - wheel))
    return colours


def _background(u: Array) -> Array:
    """The background of each image: a gradient between two muted colours, in any direction."""
    first, second = _rgb(u[:, 13], u[:, 14] * 0.6, u[:, 15]), _rgb(u[:, 16], u[:, 17] * 0.6, u[:, 18])
    ramp = np.arange(SIDE) / (SIDE - 1)
    across, down = u[:, 19, None, None], u[:, 20, None, None]
    mix = (across * ramp[None, None, :] + down * ramp[None, :, None]) / (across + down + 0.01)
    return first[:, :, None, None] + (second - first)[:, :, None, None] * mix[:, None]


def _patch(image: Array, u: Array) -> Array:
    """Draw a grey square over each image; its side is 4 to 13 pixels."""
    grid = np.arange(SIDE)
    side = 4 + np.floor(10 * u[:, 21])
    left, top = np.floor(u[:, 22] * SIDE), np.floor(u[:, 23] * SIDE)
    across = (grid >= left[:, None]) & (grid < (left + side)[:, None])
    down = (grid >= top[:, None]) & (grid < (top + side)[:, None])
    return np.where((across[:, None, :] & down[:, :, None])[:, None], u[:, 0, None, None, None], image)


def _noise(label: int, ids: NDArray[np.int64], seed: int) -> Array:
    """Grey noise: one number from -1 to 1 for each pixel."""
    words = hash64(seed, Stream.PREP, label, ids[:, None], _DRAWS + np.arange(SIDE * SIDE // 4))
    noise: Array = words.view("<u2").reshape(-1, 1, SIDE, SIDE) * 2.0**-15 - 1  # four pixels from each word
    return noise
