"""The doctor on a set at a URL: it stages as a run does, measures there, and says when shards come too slowly."""

import json

import pytest

from headrace.shards.manifest import load
from tests.e2e.test_doctor import JOB, doctor
from tests.extras.cloud.asked import SECRET
from tests.extras.cloud.faulty import Faulty

ONCE, WINDOWS = "--set=train.epochs=1", "--set=train.window=2"


@pytest.fixture(autouse=True)
def environment(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell would set it."""
    for name, value in faulty.environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.faults  # other programs on the cores make reading the slower one
def test_slow_network_is_named(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows: some tars are staged and measured on; the network is measured by itself, and is what binds one epoch."""
    faulty.rate = 100_000.0
    ended = doctor(monkeypatch, f"{faulty.url}?key={SECRET}", *JOB, ONCE, WINDOWS, "--json")
    assert (ended.code, SECRET in ended.stdout + ended.stderr) == (0, False), ended.stderr
    found = json.loads(ended.stdout)
    assert found["job"]["shards"] == faulty.url
    gains = {name: gain for name, gain in found["gains"].items() if name != "cpu"}  # others may use the cores just now
    assert max(gains, key=lambda name: gains[name]) == "network"
    network = found["network"]
    assert network["bytes_per_second"] == pytest.approx(faulty.rate, rel=0.5)
    (train,) = (split for split in load(faulty.folder).splits if split.name == "train")
    image = sum(shard.bytes for shard in train.shards) / train.samples
    assert network["images_per_second"] == pytest.approx(network["bytes_per_second"] / image)
    assert network["waits"] == pytest.approx(1 - network["images_per_second"] / found["real"])
    assert (network["missed"], network["ahead"], network["epochs"]) == (0, True, 1)
    assert found["rungs"]["read"]["images_per_second"] > 2 * network["images_per_second"]


def test_fast_network_is_not(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without windows all is staged first, once; the page says what that means for a run of many epochs."""
    ended = doctor(monkeypatch, faulty.url, *JOB, "--set=train.epochs=100")
    assert ended.code == 0, ended.stderr
    assert set(faulty.count.tars.values()) == {2}  # once to be staged, once to be timed
    (line,) = (one for one in ended.stdout.splitlines() if one.startswith("network"))
    assert "all shards arrive before the first step, in " in line
    assert "network-bound" not in ended.stdout


def test_shards_that_are_not_there_are_an_error(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a run: one line, and its exit code."""
    faulty.gone.add("train-000003.tar")
    ended = doctor(monkeypatch, faulty.url, *JOB)
    assert ended.code == 3
