"""The number of processes changes neither samples, nor updates, nor what evaluation says."""

from functools import partial

import pytest
import torch

from tests.ddp.conftest import STEPS, Outcomes

SIX = pytest.param(6, marks=pytest.mark.faults)  # each a group; 4 processes take 2, 2, 1, 1


@pytest.mark.parametrize("size", [2, 4, SIX])
def test_losses_of_all_steps_agree(outcomes: Outcomes, size: int) -> None:
    """The loss of each of ten steps on N processes is that on one process to 1e-9."""
    assert len(outcomes[1].losses) == STEPS
    assert outcomes[size].losses == pytest.approx(outcomes[1].losses, abs=1e-9)


@pytest.mark.parametrize("size", [2, 3, 4, SIX])
def test_augmented_pixels_are_bit_equal(outcomes: Outcomes, size: int) -> None:
    """With every augmentation on, each step's images have the same bytes on N processes as on one."""
    assert len(outcomes[1].pixels) == 480
    assert outcomes[size].pixels == outcomes[1].pixels


@pytest.mark.parametrize("size", [2, 4, SIX])
@pytest.mark.parametrize("part", ["model", "average"])
def test_weights_and_statistics_agree(outcomes: Outcomes, size: int, part: str) -> None:
    """After ten steps every weight and every running statistic, also of the average, agrees to 1e-9."""
    alone, together = outcomes[1].state[part], outcomes[size].state[part]
    for name, value in alone.items():
        if "num_batches_tracked" not in name:
            torch.testing.assert_close(together[name], value, rtol=0, atol=1e-9, msg=partial("{}: {}".format, name))


def test_every_layer_learned(outcomes: Outcomes) -> None:
    """The agreement means something: every tensor moved from where it began."""
    model, average = outcomes[1].state["model"], outcomes[1].state["average"]
    still = [name for name in model if model[name].is_floating_point() and torch.equal(model[name], average[name])]
    assert still == []


@pytest.mark.parametrize("size", [1, 2, 4, SIX])
def test_evaluation_counts_each_image_once(outcomes: Outcomes, size: int) -> None:
    """Validation on N processes gives the accuracy and loss of one process."""
    alone, together = outcomes[1].epoch, outcomes[size].epoch
    assert together["validation_accuracy"] == alone["validation_accuracy"]
    assert together["validation_loss"] == pytest.approx(alone["validation_loss"], abs=1e-9)
