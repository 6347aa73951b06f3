"""Only a run changes settings of the whole process."""

import os
from collections.abc import Iterator

import pytest
import torch

from headrace.train.machine.device import Accelerator
from headrace.train.machine.place import Place
from headrace.train.machine.world import World
from headrace.train.recipe.runtime import Runtime
from headrace.train.run import process
from headrace.train.run.process import prepare


def settings() -> tuple[object, ...]:
    """Return the settings of a run, according to torch and the environment."""
    return (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.allow_tf32,
        torch.backends.cuda.matmul.allow_tf32,
        dict(os.environ),
    )


@pytest.fixture
def allocator(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Record when the allocator is set, which cannot be read; restore all settings at the end."""
    calls: list[str] = []
    monkeypatch.setattr(process, "keep_freed_memory", lambda: calls.append("kept"))
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TORCHINDUCTOR_COMPILE_THREADS", "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    threads, deterministic, benchmark, *_ = settings()
    torch.use_deterministic_algorithms(False)  # runs of other tests in this process may have asked for it
    yield calls
    torch.set_num_threads(int(str(threads)))
    torch.use_deterministic_algorithms(bool(deterministic))
    torch.backends.cudnn.benchmark = bool(benchmark)


def test_a_place_leaves_the_process_as_it_is(allocator: list[str]) -> None:
    """Finding a device, threads and ranks changes nothing in the process."""
    before = settings()
    Accelerator(None)
    assert World().threads(3) == 3
    assert Place.find(Runtime(device="cpu", threads=3, deterministic=True)).threads == 3
    assert (settings(), allocator) == (before, [])


def test_a_run_prepares_its_process(allocator: list[str]) -> None:
    """A run sets its threads and its allocator, and deterministic algorithms if requested."""
    place = Place.find(Runtime(device="cpu", threads=3))
    prepare(place, deterministic=False)
    assert (settings()[:2], allocator) == ((3, False), ["kept"])
    assert os.environ["TORCHINDUCTOR_COMPILE_THREADS"] == "3"  # torch's own is a worker a core, in every rank
    prepare(place, deterministic=True)
    assert settings()[:3] == (3, True, False)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
