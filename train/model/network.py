"""What a run asks of a network, whatever its architecture."""

from abc import abstractmethod

from torch import Tensor, nn


class Network(nn.Module):
    """A classifier that is a pure function of images and noise: it draws nothing itself."""

    @property
    @abstractmethod
    def features(self) -> int:
        """Width of the layer before the classifier: the size of a sample's dropout mask."""

    @property
    @abstractmethod
    def head(self) -> nn.Linear:
        """The classifier."""

    @abstractmethod
    def drop_rates(self, drop_connect: float) -> list[float]:
        """Each block's chance to be dropped, 0 where it cannot be; `drop_connect` is that of the deepest one."""

    @abstractmethod
    def forward(self, images: Tensor, keep: Tensor | None = None, dropout: Tensor | None = None) -> Tensor:
        """Logits (b, classes) of normalised images (b, 3, size, size).

        `keep` (b, blocks) and `dropout` (b, features) multiply; None leaves them out, as evaluation does.
        """
