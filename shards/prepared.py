"""The options of prep that change images before they are stored, as recorded in manifests and checkpoints."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

_COLOURS = {"white": "#ffffff", "black": "#000000", "grey": "#808080", "gray": "#808080"}
QUALITY = 95  # JPEG quality of images that prep encodes, without chroma subsampling
Colour = tuple[int, int, int]
"""A colour: red, green and blue, from 0 to 255."""


class Prepared(NamedTuple):
    """The options of prep that change images, with the same names as in manifests and checkpoints."""

    max_side: int | None = None  # pixels; larger images are shrunk
    quality: int = QUALITY  # of encoded JPEGs; source JPEGs are copied unchanged
    background: Colour = (255, 255, 255)  # seen through transparent pixels

    @classmethod
    def of(cls, options: Mapping[str, object]) -> "Prepared":
        """Read the options that a manifest or a checkpoint contains.

        Unknown options are ignored, and missing options get their defaults. Raises ValueError, which names the option,
        for a value that prep would not accept.
        """
        side, quality = options.get("max_side"), options.get("quality", QUALITY)
        if side is not None and (type(side) is not int or side < 1):
            raise ValueError(f"max_side is {side!r}: expected a number of pixels, at least 1")
        if type(quality) is not int or not 1 <= quality <= 100:
            raise ValueError(f"quality is {quality!r}: expected a number from 1 to 100")
        background = str(options.get("background", "white"))
        try:
            return cls(side, quality, colour_of(background))
        except ValueError as error:
            raise ValueError(f"background is {background[:20]!r}: {error}") from error

    @classmethod
    def among(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """The entries of `options` that `of` reads and that are not None."""
        return {name: options[name] for name in cls._fields if options.get(name) is not None}


def colour_of(text: str) -> Colour:
    """The colour with this name, or with this code, such as #7f7f7f. Raises ValueError for anything else."""
    code = _COLOURS.get(text.strip().lower(), text.strip())
    if not re.fullmatch("#[0-9a-fA-F]{6}", code):
        raise ValueError(f"expected one of {', '.join(_COLOURS)}, or a code such as #7f7f7f")
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:], 16)
