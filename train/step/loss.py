"""Computes the loss of plain images, and of mixed images, which have two labels each."""

from torch import Tensor
from torch.nn import functional as F  # noqa: N812  torch's own convention

from headrace.train.input.augment.mixing import Mix


def mixed_loss(logits: Tensor, labels: Tensor, partner: Tensor | None, mix: Mix | None, smoothing: float) -> Tensor:
    """Return the cross entropy, summed over the samples. A mixed image has two labels, whose losses are weighted."""
    own = F.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)
    if mix is None or partner is None:
        return own
    other = F.cross_entropy(logits, labels[partner], reduction="sum", label_smoothing=smoothing)
    return mix.share * own + (1 - mix.share) * other


def heavier_labels(labels: Tensor, partner: Tensor | None, mix: Mix | None) -> Tensor:
    """Return for each image the label with the larger weight, against which the training accuracy is counted."""
    return labels if mix is None or partner is None or mix.share >= 0.5 else labels[partner]
