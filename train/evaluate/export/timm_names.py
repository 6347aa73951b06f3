"""Renames a network's tensors for timm, and makes config.json for `timm.create_model("local-dir:OUT")`."""

from typing import Any

from torch import Tensor

from headrace.train.evaluate.export.facts import Facts, crop_pct
from headrace.train.model.network import Network
from headrace.train.model.timm_config import architecture_of, published_config
from headrace.train.model.timm_network import TimmNetwork

_TOP = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_EXPANDED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_se_reduce": "se.conv_reduce",
    "_se_expand": "se.conv_expand",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_PLAIN = _EXPANDED | {"_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}  # blocks without expansion


def renamed(network: Network) -> dict[str, Tensor]:
    """Return the network's state dict under timm's names, with contiguous tensors, as safetensors requires."""
    if isinstance(network, TimmNetwork):
        return {name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()}
    places = _places(network)
    made = {}
    for name, tensor in network.state_dict().items():
        first, _, rest = name.partition(".")
        if first == "_blocks":
            number, part, last = rest.split(".", 2)
            place, expands = places[int(number)]
            new = f"blocks.{place}.{(_EXPANDED if expands else _PLAIN)[part]}.{last}"
        else:
            new = f"{_TOP[first]}.{rest}"
        made[new] = tensor.detach().contiguous()
    return made


def _places(network: Any) -> list[tuple[str, bool]]:
    """Return, for each block, its place as "STAGE.BLOCK" and whether the block expands its channels.

    A stage begins at a block without a skip connection.
    """
    stage, inside, found = -1, 0, []
    for block in network._blocks:  # noqa: SLF001  the package's name, which checkpoints have too
        stage, inside = (stage, inside + 1) if block.skips else (stage + 1, 0)
        found.append((f"{stage}.{inside}", bool(block.expands)))
    return found


def config(facts: Facts, network: Network) -> dict[str, Any]:
    """Return the contents of config.json: architecture, classes and preparation of images, in timm's terms."""
    count, own = len(facts.classes), {"first_conv": "conv_stem", "classifier": "classifier", "pool_size": None}
    architecture = f"tf_{facts.model.replace('-', '_')}"
    if isinstance(network, TimmNetwork):
        own, architecture = _timms(facts.model), architecture_of(facts.model)
    return {
        "architecture": architecture,
        "num_classes": count,
        "num_features": network.features,
        "label_names": list(facts.classes),
        "label_descriptions": dict(zip(facts.classes, facts.names, strict=True)),
        "pretrained_cfg": {
            "fixed_input_size": False,
            **own,
            "num_classes": count,
            "input_size": [3, facts.size, facts.size],
            "interpolation": facts.interpolation,
            "crop_pct": crop_pct(facts.size, facts.short),
            "crop_mode": "center",
            "mean": [one / 255 for one in facts.mean],
            "std": [one / 255 for one in facts.std],
        },
    }


def _timms(name: str) -> dict[str, Any]:
    """Return timm's settings of a network: layer names, sizes and licence, but not where the weights come from."""
    wanted = ("first_conv", "classifier", "pool_size", "fixed_input_size", "min_input_size", "license")
    return {key: value for key, value in published_config(name).items() if key in wanted}
