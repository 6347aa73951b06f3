"""The loss against both labels of images that are mixed."""

from torch import Tensor
from torch.nn import functional as F  # noqa: N812  torch's own convention

from headrace.train.input.augment.mixing import Mix


def mixed_loss(logits: Tensor, labels: Tensor, partner: Tensor | None, mix: Mix | None, smoothing: float) -> Tensor:
    """Summed cross entropy (scalar) against both labels, each by its weight; the plain one where nothing is mixed."""
    own = F.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)
    if mix is None or partner is None:
        return own
    other = F.cross_entropy(logits, labels[partner], reduction="sum", label_smoothing=smoothing)
    return mix.share * own + (1 - mix.share) * other


def heavier_labels(labels: Tensor, partner: Tensor | None, mix: Mix | None) -> Tensor:
    """The label that weighs more, by which training accuracy counts a mixed image."""
    return labels if mix is None or partner is None or mix.share >= 0.5 else labels[partner]
