"""Defines the base class of a recipe's sections, and the types of values: numbers with bounds, and allowed words."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

from headrace.shards.home import without_home

Fraction = Annotated[float, Field(gt=0, le=1)]
Chance = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1, le=2**53)]
Side = Annotated[int, Field(ge=32, le=1024)]
CropShare = Annotated[float, Field(ge=0.1, le=1)]
Epochs = Annotated[int, Field(ge=1, le=100_000)]
Batch = Annotated[int, Field(ge=1, le=1_000_000)]
Group = Annotated[int, Field(ge=1)]
Folder = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(without_home)]
"""A path in which "~" replaces the path of the home folder, because checkpoints contain the recipe and should not
contain that path."""


class Section(BaseModel):
    """The base class of a recipe's sections. Values cannot be changed, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


NUMBER, SIDE, SHARE, OWN, TIMM = "number", "side", "share", "own", "timm"
"""The tags by which pydantic tells apart the kinds of value that one key allows, such as a number and a word."""
CHOICES = {
    NUMBER: ', or "auto"',
    SIDE: ', or "auto", or "model"',
    SHARE: ', or "model"',
    OWN: ", or timm/NAME",
    TIMM: "",
}
"""Maps a tag to the text that an error message adds about the other allowed values."""


def _kind(value: Any) -> str:
    return "auto" if value == "auto" else NUMBER


def _side_kind(value: Any) -> str:
    return value if value in ("auto", "model") else SIDE


def _share_kind(value: Any) -> str:
    return "model" if value == "model" else SHARE


def network_kind(value: Any) -> str:
    """Return the tag for a network's name: TIMM for networks of timm, otherwise OWN."""
    return TIMM if isinstance(value, str) and value.startswith("timm/") else OWN


_T = TypeVar("_T")
OrAuto = Annotated[
    Annotated[_T, Tag(NUMBER)] | Annotated[Literal["auto"], Tag("auto")],
    Discriminator(_kind),
]
"""A number, or "auto", which `headrace.train.recipe.automatic` replaces with a number that suits the training split."""
SideOrWord = Annotated[
    Annotated[Side, Tag(SIDE)] | Annotated[Literal["auto"], Tag("auto")] | Annotated[Literal["model"], Tag("model")],
    Discriminator(_side_kind),
]
"""A side in pixels, or "auto", or "model", which means the size at which the network's weights were trained or
evaluated."""
CropOrModel = Annotated[
    Annotated[CropShare, Tag(SHARE)] | Annotated[Literal["model"], Tag("model")],
    Discriminator(_share_kind),
]
"""A share of the image's shorter side, or "model"."""
OwnNetwork = Literal[
    "efficientnet-b0",
    "efficientnet-b1",
    "efficientnet-b2",
    "efficientnet-b3",
    "efficientnet-b4",
    "efficientnet-b5",
    "efficientnet-b6",
    "efficientnet-b7",
    "efficientnet-lite0",
    "efficientnet-lite1",
    "efficientnet-lite2",
]
TimmNetwork = Annotated[
    str, Field(pattern=r"^timm/[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)?$", max_length=200, examples=["timm/NAME"])
]
