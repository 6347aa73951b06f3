"""The contenders of `benchmarks.storage.staging`: `be` runs each in a process of its own.

Modules of Headrace and of peers are imported only when needed, because the Python with s3fs may not have the others.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

BATCH, WINDOW, AHEAD = 64, 2, 3  # samples in a batch; tars in a window; batches that a loader makes ahead
_SETTLED = 4.0  # seconds after the first batch, after which the state is steady
_PATIENCE = 120.0  # seconds without a batch, after which a reader counts as dead
_SIX = 6  # parallel downloads, as many as in Headrace
KEYS = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_REGION": "us-east-1"}
"""Credentials that clients require; a web server of static files ignores them."""


class Given(NamedTuple):
    """The location of a contender's set, and an empty folder."""

    server: str
    prefix: str
    folder: Path
    shuffle: bool


def _names(given: Given) -> list[str]:
    """The names of the training tars in Headrace's manifest."""
    import json
    from urllib.request import urlopen

    with urlopen(f"{given.server}/bucket/{given.prefix}/shardset.json") as answer:  # noqa: S310  a server of ours
        splits = json.load(answer)["splits"]
    return [shard["name"] for split in splits if split["name"] == "train" for shard in split["shards"]]


def _opened(given: Given) -> Any:
    os.environ["AWS_ALLOW_HTTP"] = "true"
    from headrace.shards.shardset import ShardSet
    from headrace.shards.stage import Stage

    return ShardSet.open(f"{given.server}/bucket/{given.prefix}", Stage(given.folder)).split("train")


def staged(given: Given) -> None:
    """Fetch all training tars with Headrace, which hashes and flushes each."""
    split = _opened(given)
    split.staged.fetch_all()
    while split.staged.missing:
        split.staged.check()
        time.sleep(0.005)
    split.close()


def ours(given: Given) -> Iterator[list[bytes]]:
    """Yield batches in the order of training, with windows, or in that of validation; tars are fetched ahead."""
    import numpy as np

    from headrace.shards.order import Order, Steps
    from headrace.shards.shard_needs import training_needs

    split = _opened(given)
    if not given.shuffle:
        split.read_in_order(0, len(split))
        for first in range(0, len(split), BATCH):
            yield [one.tobytes() for one in split.jpegs(np.arange(first, min(first + BATCH, len(split))))]
        return
    order = Order.of(split.shard_sizes, 0, WINDOW, 1, BATCH)
    needs = training_needs(order, split.shard_sizes, Steps(len(split), BATCH, BATCH), range(1))
    split.keep_open(order.open_shards)
    split.staged.plan((need.shards for need in needs), sum(sorted(split.tar_bytes)[-WINDOW:]))
    step = 0
    while True:
        ids = order.positions(step * BATCH, (step + 1) * BATCH).ids
        yield [one.tobytes() for one in split.jpegs(ids)]
        step += 1


def by_boto3(given: Given) -> None:
    """Fetch all training tars with boto3, six at a time."""
    import boto3
    from boto3.s3.transfer import TransferConfig

    client, config = boto3.client("s3", endpoint_url=given.server), TransferConfig(use_threads=False)

    def fetch(name: str) -> None:
        client.download_file("bucket", f"{given.prefix}/{name}", str(given.folder / name), Config=config)

    with ThreadPoolExecutor(_SIX) as pool:
        list(pool.map(fetch, _names(given)))


def by_s3fs(given: Given) -> None:
    """Fetch all training tars with s3fs, which chooses the concurrency itself."""
    import s3fs

    files = s3fs.S3FileSystem(anon=True, endpoint_url=given.server)
    names = _names(given)
    files.get([f"bucket/{given.prefix}/{name}" for name in names], [str(given.folder / name) for name in names])


def by_streaming(given: Given) -> Iterator[list[bytes]]:
    """Yield batches of mosaicml-streaming's data set, from the MDS shards beside Headrace's set."""
    os.environ["S3_ENDPOINT_URL"] = given.server
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    clean_stale_shared_memory()
    dataset = StreamingDataset(
        remote="s3://bucket/mds", local=str(given.folder), shuffle=given.shuffle, batch_size=BATCH
    )
    while True:
        yield from _batches(sample["jpeg"] for sample in dataset)
        if not given.shuffle:
            return


def by_litdata(given: Given) -> Iterator[list[bytes]]:
    """Yield batches of litData's data set, from its chunks, fetched by obstore; plain http has no public option."""
    from litdata import StreamingDataset
    from litdata.streaming import downloader

    downloader._OBSTORE_CLIENT_OPTIONS["allow_http"] = True  # noqa: SLF001
    options = {"endpoint_url": given.server, "aws_access_key_id": "none", "aws_secret_access_key": "none"}
    dataset = StreamingDataset(
        "s3://bucket/litdata", cache_dir=str(given.folder), shuffle=given.shuffle, storage_options=options
    )
    while True:
        yield from _batches(sample["jpeg"] for sample in dataset)
        if not given.shuffle:
            return


def _batches(samples: Iterator[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for sample in samples:
        batch.append(sample)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


class Contender(NamedTuple):
    """A contender. Some contenders only fetch tars, others yield samples."""

    title: str
    module: str
    fetch: Callable[[Given], None] | None = None
    batches: Callable[[Given], Iterator[list[bytes]]] | None = None
    prefix: str = "set"


CONTENDERS = {
    "staged": Contender("Headrace: tars staged and checked by SHA-256", "obstore", fetch=staged),
    "boto3": Contender("boto3: the same tars, not checked", "boto3", fetch=by_boto3),
    "s3fs": Contender("s3fs: the same tars, not checked", "s3fs", fetch=by_s3fs),
    "ours": Contender("Headrace: staged, checked, and each sample read", "obstore", batches=ours),
    "streaming": Contender("mosaicml-streaming: each sample read", "streaming", batches=by_streaming, prefix="mds"),
    "litdata": Contender("litData: each sample read", "litdata", batches=by_litdata, prefix="litdata"),
}


def be(name: str, what: str, server: str, folder: str, need: float, seconds: float) -> dict[str, float]:
    """Run as a contender for the table "whole", "first" or "steady"; return its measurements by name."""
    os.environ.update(KEYS)
    contender = CONTENDERS[name]
    given = Given(server, contender.prefix, Path(folder), shuffle=what != "whole")
    __import__(contender.module)
    if what == "whole":
        return _whole(contender, given)
    if contender.batches is None:
        raise ValueError(f"{name} yields no samples")
    batches = contender.batches(given)
    return _first(batches, given) if what == "first" else _steady(batches, given, need, seconds)


def _cpu() -> float:
    """The CPU seconds of this process and of processes that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _whole(contender: Contender, given: Given) -> dict[str, float]:
    began, cpu, samples, size = time.perf_counter(), _cpu(), 0, 0
    if contender.fetch is not None:
        contender.fetch(given)
    for batch in contender.batches(given) if contender.batches is not None else ():
        samples += len(batch)
        size += sum(map(len, batch))
    wall, cpu = time.perf_counter() - began, _cpu() - cpu
    return {"seconds": wall, "cpu_seconds": cpu, "samples": samples, "bytes": size, "fetched": _size(given.folder)}


def _first(batches: Iterator[list[bytes]], given: Given) -> dict[str, float]:
    began = time.perf_counter()
    samples, ended, now = len(next(batches)), time.perf_counter(), time.time()
    return {"seconds": ended - began, "at": now, "samples": samples, "fetched": _size(given.folder)}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _ahead(batches: Iterator[list[bytes]]) -> Callable[[], list[bytes]]:
    """Make batches ahead in a thread; return the function that takes the next one.

    It raises RuntimeError if the reader has failed or ended, or gives no batch for `_PATIENCE` seconds.
    """
    ready: queue.Queue[list[bytes] | Exception] = queue.Queue(AHEAD)

    def feed() -> None:
        try:
            for batch in batches:
                ready.put(batch)
            ready.put(EOFError("it has no more batches"))
        except Exception as error:  # noqa: BLE001  the thread that takes batches raises it
            ready.put(error)

    def take() -> list[bytes]:
        try:
            batch = ready.get(timeout=_PATIENCE)
        except queue.Empty:
            raise RuntimeError(f"the reader gave no batch for {_PATIENCE:g} s: see whether it still runs") from None
        if isinstance(batch, list):
            return batch
        raise RuntimeError(f"the reader ended during the measurement: {batch!r}") from batch

    threading.Thread(target=feed, daemon=True).start()
    return take


def _steady(batches: Iterator[list[bytes]], given: Given, need: float, seconds: float) -> dict[str, float]:
    """Measure steps that take as long as reading their bytes at `need` bytes per second; a thread makes batches ahead.

    The first batch and the seconds after it do not count.
    """
    take = _ahead(batches)

    def steps(seconds: float) -> tuple[int, float]:
        size, waited, began = 0, 0.0, time.perf_counter()
        while (asked := time.perf_counter()) - began < seconds:
            batch = take()
            waited += time.perf_counter() - asked
            size += sum(map(len, batch))
            time.sleep(sum(map(len, batch)) / need)
        return size, waited

    take()
    steps(_SETTLED)
    before, began = _size(given.folder), time.perf_counter()
    size, waited = steps(seconds)
    wall = time.perf_counter() - began
    meanwhile = _size(given.folder) - before
    return {"stall": waited / wall, "rate": size / wall, "before": before, "meanwhile": meanwhile}
