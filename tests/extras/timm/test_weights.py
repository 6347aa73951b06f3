"""First weights of timm's networks: hub, file, folder; the network has them all, or the run ends with a line."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from headrace.shards.errors import UsageError
from headrace.train.model.build import build_model
from headrace.train.model.matched_head import Matched, imagenet_synsets
from headrace.train.model.preferences import preferred_by
from tests.checkout import SEARCH

NAME = "timm/test_resnet.r160_in1k"


def published(classes: int = 1000, name: str = "test_resnet") -> nn.Module:
    """A network of timm with weights of another seed than Headrace's."""
    torch.manual_seed(7)
    made: nn.Module = timm.create_model(name, num_classes=classes)
    return made


def saved(folder: Path, network: nn.Module, architecture: str = "test_resnet", **config: object) -> Path:
    """A folder as timm's save_for_hf writes it."""
    folder.mkdir()
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, folder / "model.safetensors")
    cfg = {
        "input_size": [3, 96, 96],
        "interpolation": "bilinear",
        "crop_pct": 0.9,
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
    }
    text = {"architecture": architecture, "num_classes": 1000, "pretrained_cfg": cfg, **config}
    (folder / "config.json").write_text(json.dumps(text), "utf-8")
    return folder


def test_folder_brings_weights_and_preferences(tmp_path: Path) -> None:
    """All tensors are the folder's; size, crop, filters, mean and std too."""
    network = published()
    folder = saved(tmp_path / "folder", network)
    built = build_model(NAME, 1000, init="file", weights=folder, seed=0)
    for key, value in network.state_dict().items():
        assert torch.equal(built.network.state_dict()[key], value), key
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert built.origin == f"weights from model.safetensors (sha256 {digest})"
    wanted = preferred_by(NAME, folder)
    assert (wanted.size, wanted.crop, wanted.interpolation) == (96, 0.9, "bilinear")
    assert built.normalisation == ((127.5,) * 3, (63.75,) * 3)


def test_head_of_other_classes_is_new_and_matched_rows_are_taken(tmp_path: Path) -> None:
    """The body is the file's; the head is drawn, or has the published rows of classes that are ImageNet's."""
    network = published()
    path = tmp_path / "weights.pth"
    torch.save(network.state_dict(), path)
    built = build_model(NAME, 3, init="file", weights=path, seed=0)
    assert built.origin.endswith(", new head for 3 classes")
    matched = Matched.of((imagenet_synsets()[17], "mine", imagenet_synsets()[4]))
    built = build_model(NAME, 3, init="file", weights=path, seed=0, matched=matched)
    head = built.network.state_dict()["fc.weight"]
    assert torch.equal(head[[0, 2]], network.state_dict()["fc.weight"][[17, 4]])


def test_form_of_the_authors_is_converted(tmp_path: Path) -> None:
    """A file with the names that ConvNeXt's authors gave is taken as timm converts it."""
    network = published(name="convnext_atto")
    theirs = {}
    for key, value in network.state_dict().items():
        new = key.replace("stem.", "downsample_layers.0.").replace("head.norm.", "norm.").replace("head.fc.", "head.")
        new = new.replace(".conv_dw.", ".dwconv.").replace(".mlp.fc1.", ".pwconv1.").replace(".mlp.fc2.", ".pwconv2.")
        if new.startswith("stages."):
            stage, rest = new.removeprefix("stages.").split(".", 1)
            new = f"downsample_layers.{stage}.{rest.removeprefix('downsample.')}" if "downsample" in rest else new
            new = new.replace(".blocks.", ".")
        theirs[new] = value
    path = tmp_path / "authors.pth"
    torch.save({"model": theirs}, path)
    built = build_model("timm/convnext_atto.d2_in1k", 1000, init="file", weights=path, seed=0)
    for key, value in network.state_dict().items():
        assert torch.equal(built.network.state_dict()[key], value), key


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"architecture": "resnet18"}, "architecture is 'resnet18', but model.name is timm/test_resnet"),
        ({"model_args": {"in_chans": 1}}, "was built with {'in_chans': 1}"),
    ],
)
def test_folder_of_another_network_is_refused(tmp_path: Path, change: dict[str, object], words: str) -> None:
    """What config.json says of its network must be what is trained."""
    folder = saved(tmp_path / "folder", published(), **change)  # type: ignore[arg-type]
    with pytest.raises(UsageError) as caught:
        build_model(NAME, 5, init="file", weights=folder, seed=0)
    assert words in str(caught.value)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    """Neither as they are nor converted do they fit: the first tensor that does not is named."""
    path = tmp_path / "weights.pth"
    torch.save(published(name="test_convnext").state_dict(), path)
    with pytest.raises(UsageError, match=r"weights\.pth: does not fit the model"):
        build_model(NAME, 5, init="file", weights=path, seed=0)


class Hub(BaseHTTPRequestHandler):
    """One file of one repository, as the hub serves it."""

    data = b""

    def do_HEAD(self) -> None:
        """The headers of the file."""
        self._answer()

    def do_GET(self) -> None:
        """The file."""
        if self._answer():
            self.wfile.write(self.data)

    def _answer(self) -> bool:
        known = self.path.split("?")[0] == "/timm/test_resnet.r160_in1k/resolve/main/model.safetensors"
        self.send_response(200 if known else 404)
        if known:
            self.send_header("ETag", f'"{hashlib.sha256(self.data).hexdigest()}"')
            self.send_header("X-Repo-Commit", "1" * 40)
            self.send_header("Content-Length", str(len(self.data)))
        self.end_headers()
        return known

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    """The address of a hub on the loopback interface."""
    save_file(published().state_dict(), tmp_path / "served.safetensors")
    Hub.data = (tmp_path / "served.safetensors").read_bytes()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


BUILD = f"""
from headrace.train.model.build import build_model
built = build_model({NAME!r}, 1000, init="pretrained", weights=None, seed=0)
print(built.origin)
print(float(built.network.state_dict()["fc.weight"].double().sum()))
"""


def asked(endpoint: str, home: Path) -> subprocess.CompletedProcess[str]:
    """What a process with this hub says of the published weights."""
    env = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    env |= {"PYTHONPATH": SEARCH, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    return subprocess.run([sys.executable, "-c", BUILD], env=env, capture_output=True, text=True, check=False)


def test_hub_brings_weights_and_their_licence(hub: str, tmp_path: Path) -> None:
    """They are downloaded, the hash of what came and the licence are said, and the network has them."""
    done = asked(hub, tmp_path / "home")
    assert done.returncode == 0, done.stderr
    origin, total = done.stdout.splitlines()
    digest = hashlib.sha256(Hub.data).hexdigest()
    assert origin == f"weights from model.safetensors (sha256 {digest}), licence apache-2.0"
    assert float(total) == float(published().state_dict()["fc.weight"].double().sum())


def test_without_a_network_there_are_no_random_weights(tmp_path: Path) -> None:
    """It ends, and says what to fetch and how to give it."""
    done = asked("http://127.0.0.1:9", tmp_path / "home")
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "timm/test_resnet.r160_in1k: the hub's repository timm/test_resnet.r160_in1k cannot be fetched" in last
    assert "with --weights" in last
