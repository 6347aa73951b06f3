import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.train.recipe.recipe import Recipe
from headrace.train.recipe.sections import Optim
from headrace.train.recipe.settled import Settled
from headrace.train.step.schedule import Schedule, scaled_rate
from tests.train.step.optimizer_names import NAMES, Name

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
