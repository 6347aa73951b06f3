"""What prep does to images before it stores them, as far as options decide that: in manifests and checkpoints."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

_COLOURS = {"white": "#ffffff", "black": "#000000", "grey": "#808080", "gray": "#808080"}
QUALITY = 95  # of JPEGs that prep makes, without chroma subsampling
Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""


class Prepared(NamedTuple):
    """The names are those of the options of prep, so of a manifest and of a checkpoint."""

    max_side: int | None = None  # pixels; larger images are made smaller
    quality: int = QUALITY  # of the JPEGs that are made; those of the source are kept as they are
    background: Colour = (255, 255, 255)  # seen through transparent pixels

    @classmethod
    def of(cls, options: Mapping[str, object]) -> "Prepared":
        """From options as a file holds them: others are ignored, and those that are missing have their defaults.

        Raises ValueError, naming the option, for a value that prep would not take.
        """
        side, quality = options.get("max_side"), options.get("quality", QUALITY)
        if side is not None and (type(side) is not int or side < 1):
            raise ValueError(f"max_side is {side!r}: pixels are needed")
        if type(quality) is not int or not 1 <= quality <= 100:
            raise ValueError(f"quality is {quality!r}: a number from 1 to 100 is needed")
        background = str(options.get("background", "white"))
        try:
            return cls(side, quality, colour_of(background))
        except ValueError as error:
            raise ValueError(f"background is {background[:20]!r}: {error}") from error

    @classmethod
    def among(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the options that `of` reads, and that have a value."""
        return {name: options[name] for name in cls._fields if options.get(name) is not None}


def colour_of(text: str) -> Colour:
    """The colour of a name or a code such as #7f7f7f. Raises ValueError for anything else."""
    code = _COLOURS.get(text.strip().lower(), text.strip())
    if not re.fullmatch("#[0-9a-fA-F]{6}", code):
        raise ValueError(f"one of {', '.join(_COLOURS)}, or a code such as #7f7f7f, is needed")
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:], 16)
