"""Reads files of weights from torch or safetensors without running code in them."""

import hashlib
import re
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError

import torch
from torch import Tensor

from headrace.shards.errors import HeadraceError, UsageError
from headrace.shards.open_files import refuse_limit
from headrace.train.model.safe_load import first_line, safe_load
from headrace.train.model.states import is_dense

_WRAPPERS = ("model", "state_dict")  # keys of the network in checkpoints of Headrace and timm
_SAFETENSORS = ".safetensors"


class Held(NamedTuple):
    """The tensors of a file by name, and the SHA-256 of its bytes in hex."""

    tensors: dict[str, Tensor]
    sha256: str


def read_weights(path: Path) -> Held:
    """Read a file of weights. Raises UsageError unless the file holds a state dict of dense real numbers."""
    try:
        data = path.read_bytes()
        state: Any = _safetensors(data) if path.suffix == _SAFETENSORS else safe_load(data)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            refuse_limit(error)
        raise UsageError(
            f"{path}: not a file of weights that torch can load safely ({first_line(error)}). "
            "Give a file that holds a state dict of tensors"
        ) from error
    for wrapper in _WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    return Held(_tensors(state, path), hashlib.sha256(data).hexdigest())


def downloaded(name: str, url: str) -> Path:
    """Return the file of published weights at `url`: in torch's cache, or downloaded into it.

    Raises HeadraceError if the download fails, or if the file does not match the hash in its name.
    """
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / url.rsplit("/", 1)[1]
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), hash_prefix=_hash_in(path) or None, progress=False)
        except (URLError, OSError, RuntimeError) as error:
            raise HeadraceError(
                f"pretrained weights of {name}: {url} cannot be fetched ({error}). "
                f"Download the file elsewhere, then give it with --weights {path.name}"
            ) from error
    if _hash_in(path):
        refuse_other_hash(path)
    return path


def refuse_other_hash(path: Path) -> None:
    """Raise HeadraceError unless the SHA-256 of the file starts with the hash in its name."""
    wanted, found = _hash_in(path), hashlib.sha256(path.read_bytes()).hexdigest()
    if not wanted or not found.startswith(wanted):
        raise HeadraceError(
            f"{path}: the file's SHA-256, {found[:16]}..., does not start with the hash in its name. "
            "Remove the file and try again"
        )


def _hash_in(path: Path) -> str:
    found = re.search(r"-([0-9a-f]{8,})\.", path.name)
    return found[1] if found else ""


def _safetensors(data: bytes) -> dict[str, Tensor]:
    """Return the tensors in the bytes of a safetensors file.

    Raises ValueError if the bytes are not an undamaged safetensors file, UsageError if safetensors is not installed.
    """
    try:
        from safetensors import SafetensorError  # noqa: PLC0415  optional
        from safetensors.torch import load  # noqa: PLC0415  optional
    except ImportError as error:
        raise UsageError("a .safetensors file needs the package safetensors: pip install 'headrace[timm]'") from error
    try:
        found: dict[str, Tensor] = load(data)
    except (SafetensorError, KeyError, ValueError) as error:  # KeyError: an unknown number format
        raise ValueError(first_line(error)) from error
    return found


def _tensors(state: object, path: Path) -> dict[str, Tensor]:
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UsageError(
            f"{path}: the file holds a {type(state).__name__}, not a state dict, in which all values are tensors"
        )
    for key, value in state.items():
        if not is_dense(value) or value.is_complex():
            raise UsageError(
                f"{path}: the tensor {key} is not dense, or not of real numbers. Save a dense tensor of real numbers"
            )
    return state
