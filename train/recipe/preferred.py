"""The settings that a network's weights were trained with, as plain values. In a recipe, "model" stands for them."""

from typing import NamedTuple

Colour = tuple[float, float, float]


class Preferred(NamedTuple):
    """The settings that the weights of one network were trained and evaluated with."""

    mean: Colour  # of pixels in 0..255
    std: Colour
    size: int  # side of the training images, pixels
    evaluated: int  # side of the evaluated images, pixels
    crop: float  # side of the evaluated central square, as a fraction of the image's shorter side
    interpolation: str
    fixed: bool = False  # whether the network accepts only images of `size`
    licence: str = ""  # of the published weights; "" if it is not known

    def values(self) -> dict[str, int | float | str]:
        """Return the value of every key of a recipe that may be "model"."""
        return {
            "augment.size": self.size,
            "augment.interpolation": self.interpolation,
            "evaluate.size": self.evaluated,
            "evaluate.crop": self.crop,
        }
