"""Tars on their way: the first batch, processes that are killed, and what stays where there is no room for all."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest

from headrace.shards.manifest import load
from headrace.shards.order import Order, Steps, Windows
from headrace.shards.shard_needs import training_needs
from headrace.shards.shardset import ShardSet, Split
from headrace.shards.stage import Stage
from headrace.shards.urls import Url
from headrace.train.input.loader import Loader
from tests.checkout import SEARCH
from tests.extras.cloud.faulty import Faulty
from tests.shards.test_next_use import optimum

ALL = """
import sys
import numpy as np
from headrace import ShardSet
split = ShardSet.open(sys.argv[1])["train"]
split.read_in_order(0, len(split))
print(len(split.jpegs(np.arange(len(split)))))
"""


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    """Ends servers."""
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    with ExitStack() as opened:
        yield opened


def tar_bytes(folder: Path, pattern: str = "*.tar") -> int:
    """Of all tars of a set."""
    return sum(path.stat().st_size for path in folder.glob(pattern))


def test_first_batch_before_most_of_the_set(heavy: Path, serve: ExitStack) -> None:
    """With windows of 2 of 16 tars the first batch is there with at most 15 % of the training split's bytes sent."""
    options = {"batch": 8, "size": 64, "window": 2, "device": "cpu"}
    with closing(Loader(heavy, **options)) as warm:  # type: ignore[arg-type]
        expected = next(iter(warm))
    server = serve.enter_context(closing(Faulty(heavy)))
    server.rate = 2e6
    with closing(Loader(Url(server.url), **options)) as loader:  # type: ignore[arg-type]
        images, labels = next(iter(loader))
        sent = server.count.sent
        server.rate = 0.0
    assert (images == expected[0]).all()
    assert (labels == expected[1]).all()
    assert sent <= 0.15 * tar_bytes(heavy, "train-*.tar")


def test_twenty_kills_leave_no_part_that_counts_as_whole(heavy: Path, serve: ExitStack, stage: Path) -> None:
    """Each tar is asked for once by each process, from the byte on that is not there yet, and is sound in the end."""
    server = serve.enter_context(closing(Faulty(heavy)))
    server.rate = 4e6
    environment = os.environ | {"PYTHONPATH": SEARCH}
    command = [sys.executable, "-c", ALL, server.url]
    total, rng = tar_bytes(heavy, "train-*.tar"), np.random.default_rng(0)
    names = {shard.sha256: shard.name for split in load(heavy).splits for shard in split.shards}
    kept: dict[str, int] = {}
    for kill in range(20):
        mark = len(server.count.requests)
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        until = total * (kill + rng.random()) / 21
        while server.count.sent < until and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for path in (stage / "tars").glob("*/*.tar"):
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
        asked = [one for one in server.count.requests[mark:] if one.path.endswith(".tar")]
        starts = {one.path.rpartition("/")[2]: one.range.removeprefix("bytes=").rstrip("-") or "0" for one in asked}
        assert len(starts) == len(asked)
        assert {name: int(start) for name, start in starts.items()} == {name: kept.get(name, 0) for name in starts}
        kept = {names[path.stem]: path.stat().st_size for path in (stage / "tars").glob("*/*.partial")}
    server.rate = 0.0
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "160"
    assert len(list((stage / "tars").glob("*/*.tar"))) == 16
    assert sum(server.count.ranges.values()) > 10


def windows_of(split: Split, epochs: int, seed: int = 0, length: int = 2) -> list[tuple[int, ...]]:
    """The windows of some epochs."""
    order = Order(len(split), seed, Windows(length, split.shard_sizes))
    steps = Steps(len(split), 8, 8)
    needs = training_needs(order, split.shard_sizes, steps, range(1))
    found: list[tuple[int, ...]] = []
    for need in needs:
        if need.first >= steps.ends(epochs - 1):
            return found
        found.append(need.shards)
    return found


class Reader:
    """Reads a split window by window, as a run does."""

    def __init__(self, server: Faulty, stage: Stage, epochs: int, seed: int = 0) -> None:
        self.server = server
        self.shards = ShardSet.open(Url(server.url), stage)
        self.split = self.shards["train"]
        self.windows = windows_of(self.split, epochs, seed)
        assert self.split.staged is not None
        self.staged = self.split.staged
        self.split.keep_open(4)
        self.staged.plan(iter(self.windows), 2 * max(self.split.tar_bytes))
        self.reads = self.fetched = 0

    def read(self, number: int, *, counted: bool) -> None:
        """A window."""
        before = sum(self.server.count.tars.values())
        self.staged.want(np.array(self.windows[number]))
        if counted:
            self.reads += len(self.windows[number])
            self.fetched += sum(self.server.count.tars.values()) - before

    def close(self) -> None:
        """End it."""
        self.split.close()


@pytest.mark.parametrize("times", [1.5, 2.0])
def test_hits_where_the_set_is_larger_than_the_limit(times: float, small: Path, serve: ExitStack, stage: Path) -> None:
    """By the server's own count, within two points of the best cache of that size."""
    epochs, warm = 10, 3
    server = serve.enter_context(closing(Faulty(small)))
    total = tar_bytes(small, "train-*.tar")
    reader = serve.enter_context(closing(Reader(server, Stage(stage, int(total / times)), epochs)))
    reads = [tar for window in reader.windows for tar in window]
    counted = warm * 160
    for number in range(len(reader.windows)):
        reader.read(number, counted=False)
        if number == counted // 2:
            before = sum(server.count.tars.values())
    assert not reader.staged.staging.depot.room.tight
    hits = 1 - (sum(server.count.tars.values()) - before) / (len(reads) - counted)
    assert abs(hits - optimum(reads, int(160 / times), counted)) < 0.02


def test_two_runs_on_two_sets_as_large_as_the_limit(
    small: Path, tiny_zip: Path, serve: ExitStack, stage: Path, tmp_path: Path
) -> None:
    """They do not drive each other's tars out: together at least 45 % of their reads hit."""
    from headrace.prep.command.options import Options
    from headrace.prep.convert import prep

    prep(tiny_zip, tmp_path / "other", Options(samples_per_shard=3, seed=1), workers=1, if_exists="error", say=print)
    servers = [serve.enter_context(closing(Faulty(folder))) for folder in (small, tmp_path / "other")]
    place = Stage(stage, tar_bytes(small, "train-*.tar"))
    readers = [serve.enter_context(closing(Reader(server, place, 8, seed))) for seed, server in enumerate(servers)]
    windows = len(readers[0].windows)
    for number in range(windows):
        for reader in readers:
            reader.read(number, counted=number >= windows // 4)
    reads, fetched = (sum(getattr(reader, name) for reader in readers) for name in ("reads", "fetched"))
    assert 1 - fetched / reads >= 0.45


def test_reading_validation_costs_training_few_of_its_tars(small: Path, serve: ExitStack, stage: Path) -> None:
    """A validation split that is too large to be kept passes through: what training needs soon stays."""
    server = serve.enter_context(closing(Faulty(small)))
    limit = int(1.5 * tar_bytes(small, "val-*.tar"))
    reader = serve.enter_context(closing(Reader(server, Stage(stage, limit), 3)))
    for number in range(len(reader.windows) // 2):
        reader.read(number, counted=False)
    own = {shard.sha256 for shard in reader.staged.staging.shards}

    def here() -> int:
        return sum(path.stem in own for path in (stage / "tars").glob("*/*.tar"))

    before = here()
    validation = serve.enter_context(closing(reader.shards["val"]))
    assert validation.staged is not None
    validation.staged.keep_staged()
    validation.read_in_order(0, len(validation))
    for first in range(0, len(validation), 10):
        validation.jpegs(np.arange(first, min(first + 10, len(validation))))
    assert here() >= before - 24  # four windows of four tars, and what is open
    assert sum(server.count.tars[f"val-{number:06d}.tar"] for number in range(40)) == 40
