"""Collects the loss and the most likely labels of each evaluated sample, over all ranks."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  torch's own convention

from headrace.train.machine.world import World
from headrace.train.record.predictions import TOP


class Likeliest(NamedTuple):
    """The k most likely labels of n samples, and the labels' probabilities, each (n, k), the most likely first."""

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]


def likeliest(logits: Tensor, count: int = TOP) -> Likeliest:
    """Return the `count` most likely labels, or all labels if there are fewer than `count`.

    Of labels with equal logits the smaller label comes first.
    """
    order, chances = _likeliest(logits, count)
    return Likeliest(order.cpu().numpy(), chances.cpu().numpy())


def _likeliest(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    wide = logits.detach().double()  # so that a probability does not depend on the number of samples in the batch
    order = torch.sort(wide, dim=1, descending=True, stable=True).indices[:, :count]
    return order, torch.softmax(wide, 1).gather(1, order).float()


class Scores:
    """Collects the results for the samples of a split, batch by batch."""

    def __init__(self) -> None:
        self._rows: list[Tensor] = []
        self._ids: list[NDArray[np.int64]] = []

    def add(self, ids: NDArray[np.int64], logits: Tensor, labels: Tensor) -> None:
        """Add the results of one batch. Never waits for the device.

        All numbers, including the labels, are stored as float64, which represents labels exactly.
        """
        losses = F.cross_entropy(logits.detach().double(), labels, reduction="none")
        order, chances = _likeliest(logits, TOP)
        self._ids.append(ids)
        self._rows.append(torch.column_stack([labels.double(), losses, order.double(), chances.double()]))

    def total(self, world: World) -> NDArray[np.float64]:
        """Return on rank 0 the rows of all ranks in order of id, on other ranks no rows.

        A row has id, label, loss, top labels and their probabilities. Every rank must call this method.
        """
        mine = np.empty((0, 3))
        if self._rows:
            mine = np.column_stack([np.concatenate(self._ids), torch.cat(self._rows).cpu().numpy()])
        parts = [np.frombuffer(part) for part in world.to_main(mine.tobytes())]
        width = world.largest([mine.shape[1]])()[0]
        rows = np.concatenate([np.empty((0, width)), *(part.reshape(-1, width) for part in parts if len(part))])
        return rows[np.argsort(rows[:, 0], kind="stable")]
