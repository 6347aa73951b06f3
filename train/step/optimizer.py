"""Builds the optimizer, and loads the quantities that it keeps between updates, such as momentum."""

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from headrace.train.model.network import Network
from headrace.train.model.states import numbers, refuse_other_names
from headrace.train.recipe.sections import Optim


def make_optimizer(network: Network, optim: Optim) -> torch.optim.Optimizer:
    """Return the optimizer for the network's parameters, in groups of equal learning rate and weight decay.

    A group's `multiple` is its learning rate as a multiple of the run's rate.
    """
    groups: dict[tuple[int, bool, bool], list[nn.Parameter]] = {}
    head, spared = set(network.head.parameters()), network.never_decayed()
    depths = [0] * len(list(network.parameters())) if optim.layer_decay == 1 else network.depths()
    for (name, parameter), depth in zip(network.named_parameters(), depths, strict=True):
        decayed = optim.decay_all or (parameter.ndim > 1 and name not in spared)  # norms and biases are vectors
        groups.setdefault((depth, parameter in head, decayed), []).append(parameter)
    last = max(depths)
    settings = [
        {
            "params": parameters,
            "weight_decay": optim.weight_decay if decayed else 0.0,
            "multiple": (optim.head_lr if in_head else 1.0) * optim.layer_decay ** (last - depth),
        }
        for (depth, in_head, decayed), parameters in groups.items()
    ]
    if optim.name == "adamw":
        return torch.optim.AdamW(settings, lr=optim.lr, fused=True)
    if optim.name == "rmsprop":
        # alpha and epsilon as in NVIDIA's EfficientNet recipe; TensorFlow's defaults differ from torch's
        return torch.optim.RMSprop(settings, lr=optim.lr, momentum=optim.momentum, alpha=0.9, eps=0.01, foreach=True)
    return torch.optim.SGD(settings, lr=optim.lr, momentum=optim.momentum, nesterov=optim.nesterov, fused=True)


def kept_quantities(optimizer: torch.optim.Optimizer) -> tuple[str, ...]:
    """Return the names of the quantities that the optimizer keeps for each parameter from its first update on."""
    if isinstance(optimizer, torch.optim.AdamW):
        return "step", "exp_avg", "exp_avg_sq"
    momentum = ("momentum_buffer",) if optimizer.defaults["momentum"] else ()
    return ("step", "square_avg", *momentum) if isinstance(optimizer, torch.optim.RMSprop) else momentum


@torch.no_grad()
def load_optimizer(
    optimizer: torch.optim.Optimizer,
    saved: Mapping[str, Any],
    updates: int,
    trained: Collection[nn.Parameter] | None = None,
) -> None:
    """Load the quantities that an optimizer had kept for each parameter after `updates` updates.

    Before the first update there are no such quantities. Quantities of parameters outside `trained` may be missing;
    None means that all parameters were trained. Each quantity gets its own memory with the layout of its parameter,
    whatever layout it has in the file. Learning rates and weight decay come from the recipe, not from the file. Raises
    ValueError or TypeError if the quantities do not fit this optimizer.
    """
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    kept = saved.get("state")
    if not isinstance(kept, dict):
        raise TypeError("optimizer.state is missing or is not a dict with an entry for each parameter")
    if kept:
        needed = [n for n, one in enumerate(parameters) if n in kept or trained is None or one in trained]
        refuse_other_names(kept, needed, "optimizer.state")
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
        raise TypeError(f"{where} is a {type(saved).__name__}, not a dict of tensors and numbers by name")
    refuse_other_names(saved, names, where)
    made = {}
    for name in names:
        like = torch.zeros(()) if name == "step" else parameter
        made[name] = torch.empty_like(like).copy_(numbers(saved[name], like, f"{where}.{name}"))
    if "step" in made and made["step"] > updates:
        raise ValueError(f"{where}.step is {float(made['step']):g}, but the run has made only {updates} updates")
    return made


def begin_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Set SGD's momentum to zero if there is none yet. Runs that may skip their first update, as in fp16, need this.

    torch's fused SGD allocates its momentum in the first update. If the loss scaler skips that update, this memory
    stays uninitialised, and the second update would use its values as momentum.
    """
    if isinstance(optimizer, torch.optim.SGD) and optimizer.defaults["momentum"]:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                optimizer.state[parameter].setdefault("momentum_buffer", torch.zeros_like(parameter))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of each group to `rate` times the group's multiple."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["multiple"]
