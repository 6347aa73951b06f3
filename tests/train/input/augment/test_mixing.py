"""mixup and CutMix are pure functions of (seed, step, group), with weights by the visible share of each image."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812  torch's own convention

from headrace.train.input.augment.mixing import Mix, Mixing, beta, draw_mix
from headrace.train.input.mixed import mix_images, soft_targets
from headrace.train.step.loss import heavier_labels, mixed_loss

BOTH = Mixing(0.4, 1.0)
places = st.tuples(st.integers(0, 2**40), st.integers(0, 10**7), st.integers(0, 1000))


@given(place=places, samples=st.integers(1, 64), size=st.sampled_from([32, 64, 224]))
def test_draw_is_a_function_of_its_place(place: tuple[int, int, int], samples: int, size: int) -> None:
    """The same (seed, step, group) gives the same mix: a permutation, a share in [0, 1], a box inside the image."""
    mix, again = (draw_mix(BOTH, *place, samples, size) for _ in range(2))
    assert mix is not None
    assert again is not None
    assert (mix.partner == again.partner).all()
    assert (mix.share, mix.box) == (again.share, again.box)
    assert sorted(mix.partner.tolist()) == list(range(samples))
    assert 0 <= mix.share <= 1
    if mix.box is not None:
        top, left, bottom, right = mix.box
        assert 0 <= top <= bottom <= size
        assert 0 <= left <= right <= size
        assert mix.share == pytest.approx(1 - (bottom - top) * (right - left) / size**2)


def test_each_group_has_its_own() -> None:
    """Other steps, groups and seeds draw other shares, and both kinds are equally frequent."""
    mixes = [draw_mix(BOTH, seed, step, group, 8, 64) for seed in (0, 1) for step in range(100) for group in range(4)]
    assert len({mix.share for mix in mixes if mix}) > 700
    cut = sum(mix.box is not None for mix in mixes if mix)
    assert 330 < cut < 470


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0])
def test_beta_has_its_moments(alpha: float) -> None:
    """Draws have the mean 1/2 and the variance 1 / (4 (2 alpha + 1)) of Beta(alpha, alpha)."""
    pairs = np.random.default_rng(0).random((20_000, 64, 2))
    drawn = np.array([beta(alpha, one) for one in pairs])
    assert drawn.mean() == pytest.approx(0.5, abs=0.01)
    assert drawn.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)


def test_off_changes_nothing() -> None:
    """Without mixing there is no draw, and images, loss and labels are the plain ones."""
    assert draw_mix(Mixing(), 0, 0, 0, 8, 64) is None
    images, labels, logits = torch.randn(4, 3, 8, 8), torch.arange(4), torch.randn(4, 5)
    before = images.clone()
    mix_images(images, None, None)
    assert torch.equal(images, before)
    assert heavier_labels(labels, None, None) is labels
    assert torch.equal(
        mixed_loss(logits, labels, None, None, 0.1),
        F.cross_entropy(logits, labels, reduction="sum", label_smoothing=0.1),
    )


def test_mixup_blends_and_cutmix_pastes() -> None:
    """With mixup, `share` of the image and the rest of its partner are blended; CutMix pastes the partner's box."""
    images, partner = torch.randn(4, 3, 8, 8), torch.tensor([1, 2, 3, 0])
    blended, pasted = images.clone(), images.clone()
    mix_images(blended, partner, Mix(partner.numpy(), 0.7, None))
    torch.testing.assert_close(blended, 0.7 * images + 0.3 * images[partner])
    mix_images(pasted, partner, Mix(partner.numpy(), 0.75, (0, 4, 4, 8)))
    assert torch.equal(pasted[:, :, :4, 4:], images[partner][:, :, :4, 4:])
    assert torch.equal(pasted[:, :, 4:], images[:, :, 4:])
    assert torch.equal(pasted[:, :, :, :4], images[:, :, :, :4])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_soft_targets_are_the_loss_s(smoothing: float) -> None:
    """Cross entropy against the soft targets equals the loss of the mixed labels, and rows sum to 1."""
    logits, labels, partner = torch.randn(6, 5), torch.arange(6) % 5, torch.tensor([3, 4, 5, 0, 1, 2])
    mix = Mix(partner.numpy(), 0.7, None)
    targets = soft_targets(labels, partner, mix, 5, smoothing)
    torch.testing.assert_close(targets.sum(1), torch.ones(6))
    found = F.cross_entropy(logits, targets, reduction="sum")
    torch.testing.assert_close(found, mixed_loss(logits, labels, partner, mix, smoothing))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_that_of_soft_labels(smoothing: float) -> None:
    """The loss equals cross entropy against the mixed one-hot labels, with and without smoothing."""
    logits, labels, partner = torch.randn(6, 5), torch.arange(6) % 5, torch.tensor([3, 4, 5, 0, 1, 2])
    soft = 0.7 * F.one_hot(labels, 5) + 0.3 * F.one_hot(labels[partner], 5)
    expected = F.cross_entropy(logits, soft, reduction="sum", label_smoothing=smoothing)
    found = mixed_loss(logits, labels, partner, Mix(partner.numpy(), 0.7, None), smoothing)
    torch.testing.assert_close(found, expected)


def test_accuracy_counts_the_heavier_label() -> None:
    """The partner's label counts if more than half of the image is the partner's."""
    labels, partner = torch.tensor([0, 1]), torch.tensor([1, 0])
    assert heavier_labels(labels, partner, Mix(partner.numpy(), 0.6, None)).tolist() == [0, 1]
    assert heavier_labels(labels, partner, Mix(partner.numpy(), 0.4, None)).tolist() == [1, 0]
