"""Torch's DataLoader with a worker for each core: with Pillow by hand, torchvision's two APIs, and webdataset."""

import io
import random
from collections.abc import Iterator
from typing import Any

from benchmarks.input.contenders.crop import random_box
from benchmarks.input.contenders.task import (
    AREA,
    BATCH,
    FLIP,
    MEAN,
    RATIO,
    STD,
    THREADS,
    UNIT_MEAN,
    UNIT_STD,
    Contender,
    Given,
    Samples,
    loaded,
)


class Pillow:
    """The transform on Pillow and torch, with nothing in between."""

    def __init__(self, size: int) -> None:
        import torch

        self._size = size
        self._mean, self._std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)

    def __call__(self, data: bytes) -> Any:
        """From the bytes of a JPEG to the tensor of a crop."""
        import numpy as np
        import torch
        from PIL import Image

        image = Image.open(io.BytesIO(data)).convert("RGB")
        x, y, w, h = random_box(*image.size)
        image = image.crop((x, y, x + w, y + h)).resize((self._size, self._size), Image.Resampling.BILINEAR)
        if random.random() < FLIP:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).float().sub_(self._mean).div_(self._std)


class Torchvision:
    """torchvision's transforms on Pillow images, as in its ImageNet reference."""

    def __init__(self, size: int) -> None:
        from torchvision import transforms

        self._transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(size, AREA, RATIO),
                transforms.RandomHorizontalFlip(FLIP),
                transforms.ToTensor(),
                transforms.Normalize(UNIT_MEAN, UNIT_STD),
            ]
        )

    def __call__(self, data: bytes) -> Any:
        """From the bytes of a JPEG to the tensor of a crop."""
        from PIL import Image

        return self._transform(Image.open(io.BytesIO(data)).convert("RGB"))


class TorchvisionTensors:
    """torchvision.io's decoder, and its v2 transforms on uint8 tensors."""

    def __init__(self, size: int) -> None:
        import torch
        from torchvision.transforms import v2

        self._transform = v2.Compose(
            [
                v2.RandomResizedCrop(size, AREA, RATIO, antialias=True),
                v2.RandomHorizontalFlip(FLIP),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(UNIT_MEAN, UNIT_STD),
            ]
        )

    def __call__(self, data: bytes) -> Any:
        """From the bytes of a JPEG to the tensor of a crop."""
        import torch
        from torchvision.io import ImageReadMode, decode_jpeg

        encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        return self._transform(decode_jpeg(encoded, mode=ImageReadMode.RGB))


def pillow(given: Given) -> Iterator[Any]:
    """Headrace's reader and Pillow."""
    return loaded(Samples(given.shards, Pillow(given.size)), shuffle=True)


def torchvision(given: Given) -> Iterator[Any]:
    """Headrace's reader, Pillow and torchvision.transforms."""
    return loaded(Samples(given.shards, Torchvision(given.size)), shuffle=True)


def torchvision_v2(given: Given) -> Iterator[Any]:
    """Headrace's reader, torchvision.io and torchvision.transforms.v2."""
    return loaded(Samples(given.shards, TorchvisionTensors(given.size)), shuffle=True)


def webdataset(given: Given) -> Iterator[Any]:
    """The webdataset library with Pillow."""
    import webdataset as wds
    from torch.utils.data import DataLoader

    tars = sorted(map(str, given.shards.glob("train-*.tar")))
    source = wds.WebDataset(tars, shardshuffle=len(tars), empty_check=False).shuffle(1000).to_tuple("jpg", "cls")
    source = source.map_tuple(Pillow(given.size), int).batched(BATCH, partial=False)
    loader = DataLoader(source, batch_size=None, num_workers=THREADS, persistent_workers=True)
    while True:
        for images, _ in loader:
            yield images


_PILLOW = {"torch": "torch", "pillow": "PIL"}
_TORCHVISION = {"torch": "torch", "torchvision": "torchvision"}
CONTENDERS = {
    "dataloader-pillow": Contender(pillow, _PILLOW, "torch's DataLoader over our reader, Pillow by hand"),
    "webdataset-pillow": Contender(
        webdataset, {**_PILLOW, "webdataset": "webdataset"}, "webdataset in torch's DataLoader, Pillow by hand"
    ),
    "torchvision-pillow": Contender(
        torchvision, {**_TORCHVISION, "pillow": "PIL"}, "DataLoader over our reader, torchvision.transforms on Pillow"
    ),
    "torchvision-v2": Contender(
        torchvision_v2, _TORCHVISION, "DataLoader over our reader, torchvision.io.decode_jpeg, transforms.v2"
    ),
}
