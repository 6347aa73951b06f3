"""The optimizer, its learning rate as a pure function of samples, and the average of the weights."""

import copy
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from train.efficientnet import EfficientNet
from train.recipe import Recipe
from train.sections import Optim
from train.states import numbers, refuse_other_names


@dataclass(frozen=True)
class ScaledRate:
    """The peak learning rate after the rule for another global batch, and the rule in words."""

    peak: float
    rule: str


def scaled_rate(optim: Optim, global_batch: int) -> ScaledRate:
    """`optim.lr`, scaled from its reference batch to `global_batch`.

    Linear for SGD and RMSprop (Goyal et al., arXiv:1706.02677), by the square root for Adam-like ones (Malladi et
    al., arXiv:2205.10287).
    """
    ratio = global_batch / (optim.reference_batch or global_batch)
    if ratio == 1:
        return ScaledRate(optim.lr, "as given")
    if optim.scaling == "none":
        return ScaledRate(optim.lr, f"as given, not scaled by {ratio:g}: optim.scaling is none")
    if optim.name == "adamw":
        return ScaledRate(optim.lr * math.sqrt(ratio), f"{optim.lr:g} x sqrt({ratio:g})")
    return ScaledRate(optim.lr * ratio, f"{optim.lr:g} x {ratio:g}")


@dataclass(frozen=True)
class Schedule:
    """The learning rate, from 0 to `total` samples: linear warm-up, then constant, linear or cosine to zero."""

    peak: float
    shape: str
    warmup: float
    total: int
    global_batch: int

    @classmethod
    def of(cls, recipe: Recipe, samples: int) -> "Schedule":
        """The schedule of a recipe over a training split of `samples`."""
        train, optim = recipe.train, recipe.optim
        peak = scaled_rate(optim, train.global_batch).peak
        return cls(peak, optim.schedule, optim.warmup_epochs * samples, train.epochs * samples, train.global_batch)

    def rate(self, step: int) -> float:
        """The learning rate of step `step`."""
        seen = step * self.global_batch
        if seen < self.warmup:
            return self.peak * min(1.0, (seen + self.global_batch) / self.warmup)
        if self.shape == "constant":
            return self.peak
        left = 1 - min(1.0, (seen - self.warmup) / max(1.0, self.total - self.warmup))
        return self.peak * (left if self.shape == "linear" else 0.5 * (1 - math.cos(math.pi * left)))


def make_optimizer(network: EfficientNet, optim: Optim) -> torch.optim.Optimizer:
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


class WeightAverage:
    """Exponential moving average of weights and running statistics, with a half-life in samples."""

    def __init__(self, network: EfficientNet, half_life: int, global_batch: int) -> None:
        self.network = copy.deepcopy(network).requires_grad_(requires_grad=False)
        self._update = get_ema_multi_avg_fn(0.5 ** (global_batch / half_life))
        self._average, self._live = _floats(self.network), _floats(network)

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the live weights by one step."""
        self._update(self._average, self._live, 0)


def _floats(network: nn.Module) -> list[torch.Tensor]:
    return [value for value in network.state_dict(keep_vars=True).values() if value.is_floating_point()]
