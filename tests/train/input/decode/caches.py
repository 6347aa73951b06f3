"""Decoded caches of small sets, and pipelines that read them."""

from pathlib import Path

from headrace.shards.shardset import ShardSet, Split
from headrace.train.input.decode.cache import plan_caches
from headrace.train.input.decode.cache_fill import open_caches
from headrace.train.input.decode.cached import Decoded
from headrace.train.input.decode.gpu import OnGpu
from headrace.train.input.decode.pipeline import ImagePipeline
from headrace.train.input.plans import Plan
from headrace.train.machine.world import World
from tests.train.pictures import CPU

IMAGE = 64 * 64 * 3


def made(shards: ShardSet, folder: Path, *names: str, said: list[str] | None = None) -> dict[str, Decoded]:
    """Make the caches of these splits in one process, and return them."""
    files, _ = plan_caches(shards, names or ("train",), folder)
    return open_caches(shards, files, World(), 2, (said if said is not None else []).append)


def cached(split: Split, pixels: Decoded) -> ImagePipeline[Plan]:
    """Return a pipeline that reads decoded pixels."""
    return ImagePipeline(split, 16, CPU, threads=1, decode="cpu", decoded=pixels)


def graph_for_gpus(split: Split, batch: int, decoded: Decoded | None) -> OnGpu[Plan]:
    """Return the pipeline for GPUs, run on the CPU."""
    return OnGpu(split, batch, CPU, threads=1, decode="cpu", decoded=decoded)
