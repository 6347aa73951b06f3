"""A set at a URL is the local set: same ids, pixels and weights, on one process and on two.

The commands of docs/storage.md are run here.
"""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from headrace.shards.remote import Remote
from headrace.shards.shardset import ShardSet
from headrace.shards.urls import Url
from tests.e2e.commands import SMALL, headrace
from tests.extras.cloud.asked import SECRET
from tests.extras.cloud.azure import Azure
from tests.extras.cloud.nginx import Nginx
from tests.extras.cloud.s3 import S3


def weights(run: Path) -> list[bytes]:
    """The bits of everything that a run's last checkpoint holds of its network and optimizer."""
    found = torch.load((run / "last.pt").resolve(), weights_only=True)
    digests: list[bytes] = []

    def walk(value: object) -> None:
        if isinstance(value, torch.Tensor):
            digests.append(hashlib.sha256(value.contiguous().numpy().tobytes()).digest())
        elif isinstance(value, dict):
            for key in sorted(value, key=str):
                walk(value[key])
        elif isinstance(value, list | tuple):
            for one in value:
                walk(one)

    walk({key: value for key, value in found.items() if key != "about"})
    return digests


def files_with(text: str, *folders: Path) -> list[Path]:
    """Files below that hold a text."""
    return [
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and text.encode() in path.read_bytes()
    ]


@pytest.mark.parametrize("which", ["s3", "nginx"])
def test_images_are_those_of_the_local_set(
    which: str, many: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, in any order, from object storage and from a web server behind TLS; each tar comes once."""
    server: S3 | Nginx = request.getfixturevalue(which)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    url = server.upload(many, "reading") if isinstance(server, S3) else server.url
    local, remote = ShardSet.open(many), ShardSet.open(url)
    assert (remote.digest, str(remote.where)) == (local.digest, url)
    for name in local.split_names:
        ids = np.random.default_rng(0).permutation(len(local[name]))
        mine, theirs = (one[name].jpegs(ids) for one in (local, remote))
        assert [one.tobytes() for one in mine] == [one.tobytes() for one in theirs]
    if isinstance(server, S3):
        assert set(server.count.tars.values()) == {1}
        assert len(server.count.tars) == 20


def test_azure(many: Path, azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same from Azure, where a file that is there is not created again."""
    for name, value in azure.environment.items():
        monkeypatch.setenv(name, value)
    remote = Remote(Url("az://bucket/sets/one"))
    for path in many.iterdir():
        remote.put(path.name, path)
    assert [remote.create("new", data) for data in (b"one", b"one", b"other")] == [True, True, False]
    assert {one.name for one in remote.list()} == {"new", *(path.name for path in many.iterdir())}
    local, far = ShardSet.open(many)["val"], ShardSet.open("az://bucket/sets/one")["val"]
    ids = np.arange(len(local))
    assert [one.tobytes() for one in far.jpegs(ids)] == [one.tobytes() for one in local.jpegs(ids)]


def test_training_on_two_processes_has_the_same_bits(many: Path, s3: S3, tmp_path: Path, stage: Path) -> None:
    """Weights and losses are equal bit for bit, each tar is fetched once, and no secret is written anywhere."""
    url = s3.upload(many, "training")
    two = (*SMALL, "--nproc=2", "--set=train.epochs=2", "--set=runtime.deterministic=true")
    local = headrace("train", many, *two, "--out", tmp_path / "local")
    remote = headrace("train", url, *two, "--out", tmp_path / "remote", env=s3.environment)
    assert (local.code, remote.code) == (0, 0), remote.stderr
    assert weights(tmp_path / "local") == weights(tmp_path / "remote")
    assert s3.count.tars == {path.name: 1 for path in many.glob("*.tar")}
    assert files_with(SECRET, tmp_path) == []
    assert SECRET not in remote.stdout + remote.stderr
    again = headrace("train", url, *two, "--out", tmp_path / "again", env=s3.environment)
    assert again.code == 0
    assert sum(s3.count.tars.values()) == 20
    assert len(list((stage / "sets").iterdir())) == 1


def test_commands_on_a_url(many: Path, s3: S3, tmp_path: Path) -> None:
    """inspect, verify, eval and predict say of a URL what they say of the folder."""
    url, env = s3.upload(many, "commands"), s3.environment
    assert headrace("train", many, *SMALL, "--out", tmp_path / "run").code == 0
    for words in (("inspect",), ("verify", "--deep"), ("eval", tmp_path / "run"), ("predict", tmp_path / "run")):
        here, there = headrace(*words, many), headrace(*words, url, env=env)
        assert (here.code, there.code) == (0, 0), there.stderr
        cut = there.stdout.replace(url, str(many))
        assert cut.partition(" (")[0] == here.stdout.partition(" (")[0]
