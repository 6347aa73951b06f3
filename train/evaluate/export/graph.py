"""Wraps a checkpoint's network for export: plain operations in float32, from pixels to logits."""

import torch
from torch import Tensor, nn

from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.evaluate.trained import build_network

INPUT = "images, uint8 (n, size, size, 3), RGB; the normalisation is inside"


class Graph(nn.Module):
    """Maps uint8 images (n, size, size, 3) to logits (n, classes), without the mirror images of `evaluate.flip`."""

    mean: Tensor
    std: Tensor

    def __init__(self, saved: Checkpoint) -> None:
        super().__init__()
        self.network = build_network(saved).float()
        self.register_buffer("mean", torch.tensor(saved.normalisation.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(saved.normalisation.std).view(1, 3, 1, 1))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images that have been resized and cropped."""
        pixels = images.permute(0, 3, 1, 2).float()
        logits: Tensor = self.network((pixels - self.mean) / self.std)
        return logits
