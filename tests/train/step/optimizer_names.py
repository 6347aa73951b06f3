"""The optimizers that a recipe can name."""

from typing import Literal

Name = Literal["sgd", "adamw", "rmsprop"]
NAMES: list[Name] = ["sgd", "adamw", "rmsprop"]
