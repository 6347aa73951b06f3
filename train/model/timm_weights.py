"""Finds weights for networks of timm: on the hub, in a file, or in a folder that timm's save_for_hf wrote."""

from pathlib import Path

from torch import Tensor

from headrace.shards.errors import HeadraceError, UsageError
from headrace.train.model.names import TIMM
from headrace.train.model.safe_load import first_line
from headrace.train.model.timm_config import architecture_of, folder_config, published_config, timm_needed
from headrace.train.model.weight_files import downloaded

_FILES = ("model.safetensors", "pytorch_model.bin")  # in a folder, and in a repository of the hub


def hub_file(name: str) -> Path:
    """Return the file of a network's published weights, from the hub's cache or from a download.

    Raises UsageError if there are no published weights that Headrace can read, HeadraceError if fetching them fails.
    """
    config = published_config(name)
    repository, address = config.get("hf_hub_id"), config.get("url")
    if config.get("custom_load") or not (repository or address):
        why = "they are in a format that Headrace cannot read" if config.get("custom_load") else "timm has none"
        raise UsageError(f"pretrained weights of {name}: {why}. Give a file with --weights, or set model.init=random")
    try:
        return _from_hub(name, repository, config) if repository else downloaded(name, str(address))
    except HeadraceError:
        raise
    except Exception as error:  # the hub's client raises many kinds of errors, which change with its releases
        where = f"the hub's repository {repository}" if repository else address
        raise HeadraceError(
            f"pretrained weights of {name}: {where} cannot be fetched ({first_line(error)}). Download the weights "
            "elsewhere and give the file, or the folder with config.json and model.safetensors, with --weights"
        ) from error


def _from_hub(name: str, repository: str, config: dict[str, object]) -> Path:
    with timm_needed(name):
        from huggingface_hub import hf_hub_download  # noqa: PLC0415  optional
        from huggingface_hub.errors import EntryNotFoundError  # noqa: PLC0415  optional
    named = config.get("hf_hub_filename")
    candidates = (str(named),) if named else _FILES
    for candidate in candidates[:-1]:
        try:
            return Path(hf_hub_download(repository, candidate))
        except EntryNotFoundError:
            continue
    return Path(hf_hub_download(repository, candidates[-1]))


def file_of(weights: Path, name: str) -> Path:
    """Return `weights` itself if it is a file; if `weights` is a folder, return the file of weights in it.

    Raises UsageError for an incomplete folder, and for any folder if the network is not one of timm's.
    """
    if not weights.is_dir():
        return weights
    if not name.startswith(TIMM):
        raise UsageError(f"--weights {weights}: only networks of timm accept a folder. Give a file for {name}")
    folder_config(weights, name)
    found = [weights / one for one in _FILES if (weights / one).is_file()]
    if not found:
        raise UsageError(f"--weights {weights}: the folder has no file of weights ({' or '.join(_FILES)}). Give a file")
    return found[0]


def converted(name: str, path: Path) -> dict[str, Tensor] | None:
    """Return the tensors of a file that is in the format of the network's authors, converted to timm's names.

    Return None if timm does not accept the file, or if the file lacks a tensor of timm's network.
    """
    with timm_needed(name):
        import timm  # noqa: PLC0415  optional
    local = {"file": str(path), "url": None, "hf_hub_id": None, "custom_load": False}
    config = {**published_config(name), **local}
    try:
        made = timm.create_model(
            architecture_of(name),
            pretrained=True,
            pretrained_cfg=config,
            num_classes=int(config.get("num_classes") or 1000),
        )
    except Exception:  # noqa: BLE001  timm's converters raise errors of any kind, and the caller has a clearer one
        return None
    found: dict[str, Tensor] = made.state_dict()
    return found
