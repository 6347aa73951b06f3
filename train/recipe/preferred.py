"""The settings that a network's weights were trained with, as plain values: "model" in a recipe stands for them."""

from typing import NamedTuple

Colour = tuple[float, float, float]


class Preferred(NamedTuple):
    """Settings of one network: `size` is the side of its training images in pixels; `evaluated`, `crop`: evaluation."""

    mean: Colour  # of pixels in 0..255
    std: Colour
    size: int
    evaluated: int
    crop: float
    interpolation: str
    fixed: bool = False  # whether it takes images of `size` only
    licence: str = ""  # of its published weights; "" if that is not known

    def values(self) -> dict[str, int | float | str]:
        """The value of every key of a recipe that may be "model"."""
        return {
            "augment.size": self.size,
            "augment.interpolation": self.interpolation,
            "evaluate.size": self.evaluated,
            "evaluate.crop": self.crop,
        }
