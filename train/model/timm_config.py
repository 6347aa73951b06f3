"""Looks up facts about a network of timm before it is built: architecture, tag of the weights, data config."""

import difflib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from headrace.shards.errors import UsageError
from headrace.train.model.names import TIMM
from headrace.train.recipe.preferred import Preferred

CONFIG = "config.json"
_INTERPOLATIONS = ("bilinear", "bicubic")
_DEFAULTS: dict[str, Any] = {  # as in timm's resolve_data_config
    "input_size": (3, 224, 224),
    "interpolation": "bicubic",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "crop_pct": 0.875,
    "crop_mode": "center",
}


@contextmanager
def timm_needed(name: str) -> Iterator[None]:
    """Within this context, turn a failed import of timm into a UsageError that says what to install.

    Also keeps the client of the Hugging Face hub from sending usage statistics, unless the user has set
    HF_HUB_DISABLE_TELEMETRY.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when the client is imported
    try:
        yield
    except ImportError as error:
        what = f"model.name = {name} needs the package {error.name}: pip install 'headrace[timm]'"
        raise UsageError(what) from error
    except RuntimeError as error:  # torchvision built for another torch
        first = str(error).strip().splitlines()[0]
        raise UsageError(
            f"model.name = {name}: timm cannot be imported ({first}). Use pip to install the torchvision that is built "
            "for this version of torch, from the package index that torch came from"
        ) from error


def architecture_of(name: str) -> str:
    """Return the architecture in a network's name: the name without timm/ and without the tag of the weights."""
    return name.removeprefix(TIMM).partition(".")[0]


@cache
def published_config(name: str) -> dict[str, Any]:
    """Return timm's pretrained_cfg of a network. Raises UsageError for a network or tag that timm does not have."""
    with timm_needed(name):
        import timm  # noqa: PLC0415  optional
    plain = name.removeprefix(TIMM)
    if not timm.is_model(architecture_of(name)):
        close = difflib.get_close_matches(architecture_of(name), timm.list_models(), 3)
        hint = f"; similar names: {', '.join(TIMM + one for one in close)}" if close else ""
        raise UsageError(f"model.name = {name}: timm {timm.__version__} has no such network{hint}")
    try:
        found = timm.get_pretrained_cfg(plain, allow_unregistered=False)
    except (RuntimeError, KeyError) as error:
        tags = [one for one in timm.list_pretrained(f"{architecture_of(name)}.*") if one != plain]
        raise UsageError(
            f"model.name = {name}: timm {timm.__version__} has no weights with this tag; names with weights: "
            f"{', '.join(TIMM + one for one in tags) or 'none for this network'}"
        ) from error
    return {} if found is None else dict(found.to_dict())


def folder_config(folder: Path, name: str) -> dict[str, Any]:
    """Return the config.json of a folder of weights, as timm's save_for_hf writes it.

    Raises UsageError if the folder has no config.json, or if that file names another architecture. Also raises
    UsageError if that file has arguments for building the network, which Headrace does not support.
    """
    path = folder / CONFIG
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path}: not the config.json of a timm folder ({error}). Give the folder that timm's save_for_hf wrote"
        ) from error
    if not isinstance(found, dict) or found.get("architecture") != architecture_of(name):
        seen = found.get("architecture") if isinstance(found, dict) else type(found).__name__
        raise UsageError(f"{path}: the architecture is {seen!r}, but model.name is {name}. Set model.name=timm/{seen}")
    if found.get("model_args"):
        raise UsageError(
            f"{path}: the network was built with {found['model_args']}, but Headrace supports no such arguments. "
            "Give the weights of a network built without them"
        )
    if not isinstance(found.get("pretrained_cfg") or {}, dict):
        raise UsageError(f"{path}: pretrained_cfg is not a JSON object. Give the folder that timm's save_for_hf wrote")
    return found


def preferred_by_timm(name: str, weights: Path | None) -> Preferred:
    """Return the preferred settings of a network, from config.json in the user's folder `weights` or else from timm.

    If this source states image sizes for testing, evaluation uses those sizes.
    """
    config, where = published_config(name), f"model.name = {name}"
    if weights is not None and weights.is_dir() and (own := folder_config(weights, name).get("pretrained_cfg")):
        # The published sizes for testing are those of other weights.
        config = {**{key: value for key, value in config.items() if not key.startswith("test_")}, **own}
        where = str(weights / CONFIG)
    try:
        return _preferred(name, config)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}: a setting for the preparation of images is invalid ({error})") from error


def _preferred(name: str, config: dict[str, Any]) -> Preferred:
    config = {**_DEFAULTS, **{key: value for key, value in config.items() if value is not None}}
    size = _side(name, config["input_size"])
    if config["interpolation"] not in _INTERPOLATIONS:
        config["interpolation"] = "bicubic"  # timm's fallback if a config names several filters to draw from
    return Preferred(
        mean=_levels(config["mean"]),
        std=_levels(config["std"]),
        size=size,
        evaluated=size if config.get("fixed_input_size") else _side(name, config.get("test_input_size") or (size,)),
        crop=float(config.get("test_crop_pct") or config["crop_pct"]),
        interpolation=config["interpolation"],
        fixed=bool(config.get("fixed_input_size")),
        licence=str(config.get("license") or ""),
    )


def _levels(shares: Any) -> tuple[float, float, float]:
    """Convert three colour values from 0..1 to 0..255."""
    red, green, blue = (255.0 * float(one) for one in shares)
    return red, green, blue


def _side(name: str, shape: Any) -> int:
    """Return the side in pixels of the square RGB images that a network takes. Raises UsageError for other shapes."""
    *colours, height, width = (3, *shape, *shape[-1:]) if len(shape) == 1 else shape
    if height != width or colours != [3]:
        raise UsageError(
            f"model.name = {name}: images have the shape {tuple(shape)}, but Headrace supports only square RGB images"
        )
    return int(height)
