from typing import Any

import pytest
import torch
from torch import nn

from headrace.train.recipe.sections import Optim
from headrace.train.step.optimizer import begin_momentum, load_optimizer, make_optimizer, set_rate
from tests.train.networks import narrow
from tests.train.step.optimizer_names import NAMES, Name


@pytest.mark.parametrize("name", NAMES)
def test_norms_and_biases_are_not_decayed(name: Name) -> None:
    """Only matrices and kernels are decayed; every parameter is in one group; the head has its own multiple."""
    network = narrow()
    names = {parameter: key for key, parameter in network.named_parameters()}
    optimizer = make_optimizer(network, Optim(name=name, weight_decay=0.3, head_lr=5.0))
    seen = []
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            key = names[parameter]
            seen.append(key)
            decayed = key.endswith("weight") and "_bn" not in key
            assert group["weight_decay"] == (0.3 if decayed else 0.0), key
            assert group["multiple"] == (5.0 if key.startswith("_fc.") else 1.0), key
    assert sorted(seen) == sorted(names.values())
    assert isinstance(optimizer, {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}.get(name, torch.optim.RMSprop))


def test_all_are_decayed_where_asked() -> None:
    """With `decay_all`, norms and biases are decayed too."""
    optimizer = make_optimizer(narrow(), Optim(weight_decay=0.3, decay_all=True))
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.3}


@pytest.mark.parametrize("name", NAMES)
def test_set_rate_gives_each_group_its_multiple(name: Name) -> None:
    """The rate reaches the update: for equal gradients, the head moves `head_lr` times as far."""
    network = narrow()
    optimizer = make_optimizer(network, Optim(name=name, lr=9.0, head_lr=3.0, momentum=0.0))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    set_rate(optimizer, 0.01)
    optimizer.step()
    moved = {key: (before[key] - value).mean().item() for key, value in network.named_parameters()}
    assert moved["_fc.bias"] == pytest.approx(3 * moved["_bn1.bias"], rel=1e-4)
    assert moved["_bn1.bias"] == pytest.approx(0.01, rel=0.1) or name == "rmsprop"


def parameters_of(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """Return the parameters in the order in which the optimizer numbers them."""
    return [one for group in optimizer.param_groups for one in group["params"]]


def update(network: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    """Make some steps with gradients that depend on the network's weights."""
    for _ in range(steps):
        for parameter in network.parameters():
            parameter.grad = parameter.detach() * 0.1 + 0.01
        optimizer.step()


def stepped(name: Name, steps: int, layout: torch.memory_format = torch.channels_last) -> tuple[Any, Any]:
    """Return a network and its optimizer after some steps."""
    network = narrow()
    network.to(memory_format=layout)  # type: ignore[call-overload]  # torch's stub lacks it
    optimizer = make_optimizer(network, Optim(name=name, lr=0.01))
    update(network, optimizer, steps)
    return network, optimizer


@pytest.mark.parametrize("name", NAMES)
def test_state_goes_on_as_if_never_saved(name: Name) -> None:
    """Two steps, saving, loading and three more steps give the same bits as five steps."""
    whole, _ = stepped(name, 5)
    first, saved = stepped(name, 2)
    second, optimizer = stepped(name, 0)
    second.load_state_dict(first.state_dict())
    load_optimizer(optimizer, saved.state_dict(), 2)
    update(second, optimizer, 3)
    for key, value in whole.state_dict().items():
        assert torch.equal(second.state_dict()[key], value), key


def test_loaded_state_keeps_the_recipes_decay() -> None:
    """Weight decay and multiples come from the recipe, not from the checkpoint."""
    _, saved = stepped("sgd", 1)
    optimizer = make_optimizer(narrow(), Optim(weight_decay=0.5, head_lr=7.0))
    load_optimizer(optimizer, saved.state_dict(), 1)
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0, 0.5}
    assert {group["multiple"] for group in optimizer.param_groups} == {1.0, 7.0}


def test_state_of_another_network_is_refused() -> None:
    """Running quantities of other shapes, or of fewer parameters, are errors."""
    _, saved = stepped("sgd", 1)
    state = saved.state_dict()
    with pytest.raises(ValueError, match=r"momentum_buffer has shape \(12, \d+\), not \(5, \d+\)"):
        load_optimizer(make_optimizer(narrow(classes=5), Optim()), state, 1)
    del state["state"][3]
    with pytest.raises(ValueError, match=r"optimizer\.state lacks 3"):
        load_optimizer(make_optimizer(narrow(), Optim()), state, 1)


@pytest.mark.parametrize("name", NAMES)
def test_skipped_first_updates_leave_no_trace(name: Name) -> None:
    """If the loss scaler skips the first updates, later updates are the same as without the skipped ones."""
    whole, _ = stepped(name, 3)
    network, optimizer = stepped(name, 0)
    begin_momentum(optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for overflow in (True, True, False, False, False):
        dirty = [torch.full_like(one, 1e30) for one in network.parameters()]
        del dirty  # what is allocated next is not zero by chance
        for parameter in network.parameters():
            scaled = scaler.scale(parameter.detach() * 0.1 + 0.01)
            parameter.grad = torch.full_like(parameter, torch.inf) if overflow else scaled
        scaler.step(optimizer)
        scaler.update()
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(network.state_dict()[key], value, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("before", [torch.channels_last, torch.contiguous_format])
def test_state_goes_on_in_another_layout(name: Name, before: torch.memory_format) -> None:
    """After a change of layout, updates are the same as without the change."""
    after = torch.contiguous_format if before is torch.channels_last else torch.channels_last
    whole, _ = stepped(name, 5, before)
    first, saved = stepped(name, 2, before)
    second, optimizer = stepped(name, 0, after)
    second.load_state_dict(first.state_dict())
    load_optimizer(optimizer, saved.state_dict(), 2)
    update(second, optimizer, 3)
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(second.state_dict()[key], value, rtol=0, atol=1e-7)
    stem = "_conv_stem.weight"
    assert second.state_dict()[stem].stride() != whole.state_dict()[stem].stride()


@pytest.mark.parametrize("name", NAMES)
def test_loaded_state_has_memory_of_its_own(name: Name) -> None:
    """Quantities that repeat one element, or share memory, become tensors laid out like their parameters."""
    network, saved = stepped(name, 2)
    state = saved.state_dict()
    shared = torch.full((10**6,), 0.5)
    for number, parameter in enumerate(parameters_of(saved)):
        for key in state["state"][number]:
            if key != "step":
                one = shared[: parameter.numel()].view(parameter.shape)
                state["state"][number][key] = one if number % 2 else one.flatten()[:1].view(()).expand(parameter.shape)
    optimizer = make_optimizer(network, Optim(name=name, lr=0.01))
    load_optimizer(optimizer, state, 2)
    memory = set()
    for parameter in parameters_of(optimizer):
        for key, value in optimizer.state[parameter].items():
            memory.add(value.untyped_storage().data_ptr())
            assert key == "step" or value.stride() == parameter.stride()
            assert key == "step" or bool((value == 0.5).all())
    assert len(memory) == sum(map(len, state["state"].values()))
    assert shared.untyped_storage().data_ptr() not in memory


def test_layers_have_rates_that_fall_towards_the_images() -> None:
    """Each layer has the next layer's rate times the factor; the classifier has the full rate times `head_lr`."""
    network = narrow()
    optimizer = make_optimizer(network, Optim(layer_decay=0.5, head_lr=3.0, weight_decay=0.1))
    multiples = {id(one): group["multiple"] for group in optimizer.param_groups for one in group["params"]}
    decays = {id(one): group["weight_decay"] for group in optimizer.param_groups for one in group["params"]}
    last = max(network.depths())
    for (name, parameter), depth in zip(network.named_parameters(), network.depths(), strict=True):
        head = 3.0 if name.startswith("_fc") else 1.0
        assert multiples[id(parameter)] == head * 0.5 ** (last - depth), name
        assert decays[id(parameter)] == (0.1 if parameter.ndim > 1 else 0.0), name


def test_groups_are_as_ever_without_layer_decay() -> None:
    """Checkpoints number parameters by these groups: the body, then the head, each as matrices and vectors."""
    optimizer = make_optimizer(narrow(), Optim())
    assert [(len(group["params"]), group["multiple"]) for group in optimizer.param_groups][2:] == [(1, 1.0), (1, 1.0)]
    assert len(optimizer.param_groups) == 4
