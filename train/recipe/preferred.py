"""Defines the settings that a network's weights were trained with, which replace "model" in a recipe."""

from typing import NamedTuple

Colour = tuple[float, float, float]


class Preferred(NamedTuple):
    """The settings with which the weights of one network were trained and evaluated."""

    mean: Colour  # of pixels in 0..255
    std: Colour
    size: int  # side of the training images, pixels
    evaluated: int  # side of the evaluated images, pixels
    crop: float  # side of the evaluated central square, as a fraction of the image's shorter side
    interpolation: str
    fixed: bool = False  # whether the network accepts only images of `size`
    licence: str = ""  # of the published weights; "" if it is not known

    def values(self) -> dict[str, int | float | str]:
        """Return the values that may replace "model", by key of the recipe."""
        return {
            "augment.size": self.size,
            "augment.interpolation": self.interpolation,
            "evaluate.size": self.evaluated,
            "evaluate.crop": self.crop,
        }
