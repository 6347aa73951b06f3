"""The optimizer, and the quantities that it keeps."""

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from headrace.train.model.network import Network
from headrace.train.model.states import numbers, refuse_other_names
from headrace.train.recipe.sections import Optim


def make_optimizer(network: Network, optim: Optim) -> torch.optim.Optimizer:
    """The optimizer over up to four groups: head and rest, decayed and not. Each carries its `multiple` of the rate."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    head = set(network.head.parameters())
    for parameter in network.parameters():
        decayed = optim.decay_all or parameter.ndim > 1  # norms and biases are vectors
        groups.setdefault((parameter in head, decayed), []).append(parameter)
    settings = [
        {
            "params": parameters,
            "weight_decay": optim.weight_decay if decayed else 0.0,
            "multiple": optim.head_lr if in_head else 1.0,
        }
        for (in_head, decayed), parameters in groups.items()
    ]
    if optim.name == "adamw":
        return torch.optim.AdamW(settings, lr=optim.lr, fused=True)
    if optim.name == "rmsprop":
        # alpha and epsilon as in NVIDIA's EfficientNet recipe; TensorFlow's defaults differ from torch's
        return torch.optim.RMSprop(settings, lr=optim.lr, momentum=optim.momentum, alpha=0.9, eps=0.01, foreach=True)
    return torch.optim.SGD(settings, lr=optim.lr, momentum=optim.momentum, nesterov=optim.nesterov, fused=True)


def kept_quantities(optimizer: torch.optim.Optimizer) -> tuple[str, ...]:
    """The names of the running quantities that the optimizer keeps of each parameter, once it has made an update."""
    if isinstance(optimizer, torch.optim.AdamW):
        return "step", "exp_avg", "exp_avg_sq"
    momentum = ("momentum_buffer",) if optimizer.defaults["momentum"] else ()
    return ("step", "square_avg", *momentum) if isinstance(optimizer, torch.optim.RMSprop) else momentum


@torch.no_grad()
def load_optimizer(optimizer: torch.optim.Optimizer, saved: Mapping[str, Any], updates: int) -> None:
    """Copy the running quantities of each parameter, as they are after `updates` or fewer; none before the first.

    Each gets memory of its own that is laid out like its parameter, whatever the layout in the file is. Rates and
    decay stay those of the recipe. Raises ValueError or TypeError when the quantities cannot be those
    of this optimizer.
    """
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    kept = saved.get("state")
    if not isinstance(kept, dict):
        raise TypeError("optimizer.state is missing, or is no table of parameters")
    if kept:
        refuse_other_names(kept, range(len(parameters)), "optimizer.state")
    state = {
        number: _quantities(kept[number], parameters[number], kept_quantities(optimizer), number, updates)
        for number in kept
    }
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _quantities(
    saved: object, parameter: Tensor, names: Collection[str], number: int, updates: int
) -> dict[str, Tensor]:
    where = f"optimizer.state.{number}"
    if not isinstance(saved, dict):
        raise TypeError(f"{where} is a {type(saved).__name__}, not a table of quantities")
    refuse_other_names(saved, names, where)
    made = {}
    for name in names:
        like = torch.zeros(()) if name == "step" else parameter
        made[name] = torch.empty_like(like).copy_(numbers(saved[name], like, f"{where}.{name}"))
    if "step" in made and made["step"] > updates:
        raise ValueError(f"{where}.step is {float(made['step']):g}, but the run has made {updates} updates")
    return made


def begin_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Give SGD a momentum of zero where it has none yet, for runs whose first update may be skipped, as in fp16.

    torch's fused SGD allocates its momentum in the first update; where the loss scaler skips that one, it would stay
    as the memory was, and the second update would take it for what is known of the gradients.
    """
    if isinstance(optimizer, torch.optim.SGD) and optimizer.defaults["momentum"]:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                optimizer.state[parameter].setdefault("momentum_buffer", torch.zeros_like(parameter))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Write this step's learning rate, times each group's multiple."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["multiple"]
