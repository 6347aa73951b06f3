"""EfficientNet under timm's names: its tensors, and config.json for `timm.create_model("local-dir:OUT")`."""

from typing import Any

from torch import Tensor

from headrace.train.evaluate.export.facts import Facts, crop_pct
from headrace.train.model.network import Network

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
    """The state dict under timm's names; tensors without gaps, as safetensors wants them."""
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
    """STAGE.BLOCK of each block, and whether it expands: a stage begins where a block has no skip connection."""
    stage, inside, found = -1, 0, []
    for block in network._blocks:  # noqa: SLF001  the package's name, which checkpoints have too
        stage, inside = (stage, inside + 1) if block.skips else (stage + 1, 0)
        found.append((f"{stage}.{inside}", bool(block.expands)))
    return found


def config(facts: Facts, network: Network) -> dict[str, Any]:
    """config.json: architecture, classes, and how images are made ready, in timm's words."""
    count = len(facts.classes)
    return {
        "architecture": f"tf_{facts.model.replace('-', '_')}",
        "num_classes": count,
        "num_features": network.features,
        "label_names": list(facts.classes),
        "label_descriptions": dict(zip(facts.classes, facts.names, strict=True)),
        "pretrained_cfg": {
            "num_classes": count,
            "input_size": [3, facts.size, facts.size],
            "fixed_input_size": False,
            "interpolation": "bilinear",
            "crop_pct": crop_pct(facts.size, facts.short),
            "crop_mode": "center",
            "mean": [one / 255 for one in facts.mean],
            "std": [one / 255 for one in facts.std],
            "first_conv": "conv_stem",
            "classifier": "classifier",
            "pool_size": None,
        },
    }
