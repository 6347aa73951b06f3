"""The network as it is exported: from pixels to logits in plain operations, float32."""

import torch
from torch import Tensor, nn

from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.evaluate.trained import build_network

INPUT = "images, uint8 (n, size, size, 3), RGB; the normalisation is inside"


class Graph(nn.Module):
    """uint8 (n, size, size, 3) to logits (n, classes). A mirror image is not averaged in, whatever the recipe says."""

    mean: Tensor
    std: Tensor

    def __init__(self, saved: Checkpoint) -> None:
        super().__init__()
        self.network = build_network(saved).float()
        self.register_buffer("mean", torch.tensor(saved.normalisation.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(saved.normalisation.std).view(1, 3, 1, 1))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images that are resized and cut already."""
        pixels = images.permute(0, 3, 1, 2).float()
        logits: Tensor = self.network((pixels - self.mean) / self.std)
        return logits
