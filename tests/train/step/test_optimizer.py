import math
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from headrace.train.recipe.recipe import Recipe
from headrace.train.recipe.sections import Optim
from headrace.train.recipe.settled import Settled
from headrace.train.step.average import WeightAverage
from headrace.train.step.optimizer import begin_momentum, load_optimizer, make_optimizer, set_rate
from headrace.train.step.schedule import Schedule, scaled_rate
from tests.train.networks import narrow

Name = Literal["sgd", "adamw", "rmsprop"]
NAMES: list[Name] = ["sgd", "adamw", "rmsprop"]
shapes = st.sampled_from(["constant", "linear", "cosine"])
schedules = st.builds(
    Schedule,
    peak=st.floats(1e-4, 10),
    shape=shapes,
    warmup=st.one_of(st.just(0.0), st.floats(0, 3000)),
    total=st.integers(3000, 20_000),
    global_batch=st.integers(1, 500),
)


@given(schedules)
def test_rate_rises_to_its_peak_and_then_never_rises(schedule: Schedule) -> None:
    """The rate is above 0 and at most the peak, rises during the warm-up, and never rises afterwards."""
    rates = [schedule.rate(step) for step in range(math.ceil(schedule.total / schedule.global_batch))]
    warm = math.ceil(schedule.warmup / schedule.global_batch)
    assert min(rates) > 0
    assert max(rates) <= schedule.peak
    assert all(first <= second for first, second in pairwise(rates[:warm]))
    assert all(first >= second for first, second in pairwise(rates[warm:]))


@given(schedule=schedules, parts=st.integers(2, 8), step=st.integers(0, 100))
def test_rate_depends_on_samples_only(schedule: Schedule, parts: int, step: int) -> None:
    """After the warm-up, the rate at a sample is the same for any global batch with a step that begins there."""
    coarse = replace(schedule, global_batch=schedule.global_batch * parts)
    if step * coarse.global_batch >= schedule.warmup:
        assert coarse.rate(step) == schedule.rate(step * parts)


def test_warm_up_is_linear_and_ends_at_the_peak() -> None:
    """Over 1,000 samples in steps of 100, the rate is 1/10, 2/10, ... of the peak, and then starts from the peak."""
    schedule = Schedule(2.0, "cosine", 1000.0, 11_000, 100)
    assert [schedule.rate(step) for step in range(11)] == pytest.approx([0.2 * k for k in range(1, 11)] + [2.0])


@pytest.mark.parametrize(("shape", "half"), [("constant", 1.0), ("linear", 0.5), ("cosine", 0.5)])
def test_decay_goes_from_peak_to_zero(shape: str, half: float) -> None:
    """Linear and cosine rates are half the peak half-way, follow their formulas at a quarter, and end at 0."""
    schedule = Schedule(1.0, shape, 0.0, 4000, 10)
    quarter = {"constant": 1.0, "linear": 0.75, "cosine": 0.5 * (1 + math.cos(math.pi / 4))}[shape]
    assert schedule.rate(0) == 1.0
    assert schedule.rate(100) == pytest.approx(quarter)
    assert schedule.rate(200) == pytest.approx(half)
    assert schedule.rate(400) == pytest.approx(1.0 if shape == "constant" else 0.0)
    assert schedule.rate(1000) == pytest.approx(schedule.rate(400))  # beyond its end it stays there


def test_schedule_of_a_recipe_counts_epochs_in_samples() -> None:
    """Epochs of the recipe are converted to samples of the split, and the peak is the scaled rate."""
    recipe = Settled.of(
        Recipe.model_validate(
            {
                "train": {"epochs": 3, "global_batch": 64},
                "optim": {"lr": 0.1, "reference_batch": 32, "warmup_epochs": 0.5, "schedule": "linear"},
            }
        ),
        {},
        "mine",
    )
    assert Schedule.of(recipe, 480) == Schedule(0.2, "linear", 240.0, 1440, 64)


@pytest.mark.parametrize(
    ("name", "factor", "rule"),
    [("sgd", 4, "0.1 x 4"), ("rmsprop", 4, "0.1 x 4"), ("adamw", 2, "0.1 x sqrt(4)")],
)
def test_rate_follows_the_global_batch_by_rule(name: Name, factor: float, rule: str) -> None:
    """At four times the reference batch, SGD and RMSprop use four times the rate, and AdamW twice the rate."""
    scaled = scaled_rate(Optim(name=name, lr=0.1, reference_batch=64), 256)
    assert scaled.peak == pytest.approx(0.1 * factor)
    assert scaled.rule == rule


@given(name=st.sampled_from(NAMES), batch=st.integers(1, 10**6))
def test_rate_is_as_given_for_its_own_batch(name: Name, batch: int) -> None:
    """Without a reference batch, and at the reference batch, the rate is not scaled."""
    assert scaled_rate(Optim(name=name, lr=0.3), batch).peak == 0.3
    assert scaled_rate(Optim(name=name, lr=0.3, reference_batch=batch), batch).peak == 0.3
    unscaled = scaled_rate(Optim(name=name, lr=0.3, reference_batch=2 * batch, scaling="none"), batch)
    assert unscaled.peak == 0.3


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


@pytest.mark.parametrize(("half_life", "batch"), [(100, 100), (400, 100), (30, 10)])
def test_average_has_the_half_life_in_samples(half_life: int, batch: int) -> None:
    """After the live weights jump, the average, running statistics included, is half-way after `half_life` samples."""
    network = narrow().double()
    average = WeightAverage(network, half_life, batch)
    start = {key: value.clone() for key, value in network.state_dict().items() if value.is_floating_point()}
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if value.is_floating_point():
                value.copy_(start[key] + 1)
    for _ in range(half_life // batch):
        average.update()
    for key, value in average.network.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, start[key] + 0.5, rtol=0, atol=1e-12)
    assert not any(parameter.requires_grad for parameter in average.network.parameters())


def test_average_leaves_the_live_weights_alone() -> None:
    """Updating the average changes nothing in the trained network."""
    network = narrow()
    average = WeightAverage(network, 10, 10)
    with torch.no_grad():
        network.head.weight.add_(1)
    before = network.head.weight.clone()
    average.update()
    assert torch.equal(network.head.weight, before)
    assert not torch.equal(average.network.state_dict()["_fc.weight"], before)


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
