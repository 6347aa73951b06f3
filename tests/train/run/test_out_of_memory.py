from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from headrace.shards.errors import HeadraceError
from headrace.train.checkpoint import files
from headrace.train.machine.device import Accelerator, Memory
from headrace.train.machine.place import Place
from headrace.train.machine.signals import StopRequest
from headrace.train.machine.world import World
from headrace.train.model.build import Built
from headrace.train.model.efficientnet import EfficientNet
from headrace.train.model.normalisation import normalisation_of
from headrace.train.run.out_of_memory import largest_that_fits
from headrace.train.run.request import Request
from headrace.train.run.resolve import resolve
from headrace.train.run.training import carry_out
from tests.train.networks import shallow

SETTINGS = (
    "train.epochs=2",
    "train.global_batch=96",
    "runtime.device=cpu",
    "runtime.threads=1",
    "runtime.precision=fp32",
    "runtime.verdict=false",
)


class Small(Accelerator):
    """A device of 1,000,000 bytes, of which others hold 100,000; the network tells what it takes."""

    def __init__(self) -> None:
        super().__init__(None)
        self.peak = 0

    def memory(self) -> Memory:
        """As a GPU would answer."""
        return Memory(1_000_000, self.peak, 100_000)

    def release(self) -> None:
        """Begin anew."""
        self.peak = 0


def hungry(device: Small, passes: int | None = None) -> EfficientNet:
    """A network whose training pass takes 10,000 bytes and 50,000 a sample, or that fails after so many passes."""
    network, done = shallow(), 0
    forward = network.forward

    def limited(images: Tensor, *noise: Tensor) -> Tensor:
        nonlocal done
        needed = 10_000 + 50_000 * len(images)
        done += network.training
        if network.training and (needed > 900_000 or (passes is not None and done > passes)):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        device.peak = max(device.peak, needed)
        return forward(images, *noise)

    network.forward = limited  # type: ignore[method-assign, assignment]
    return network


def run(
    shards: Path, out: Path, network: EfficientNet, device: Accelerator, *settings: str, resume: bool = False
) -> None:
    """A run of the network on the device."""
    request = Request(
        shards, None if resume else "demo", (*SETTINGS, *settings), out=out, resume="last" if resume else None
    )
    built = Built(network, normalisation_of("efficientnet-b0"), "")
    with StopRequest() as stop:
        carry_out(resolve(request, 1), Place(World(), device, 1), stop, built)


def told(*arguments: object, **named: bool) -> str:
    """What ends the run, with code 1."""
    with pytest.raises(HeadraceError) as caught:
        run(*arguments, **named)  # type: ignore[arg-type]
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_group_that_fits_is_named(tiny_set: Path, tmp_path: Path) -> None:
    """Of 900,000 bytes nine tenths may be used: 16 samples fit, and the largest divisor of the batch up to it is 16."""
    device = Small()
    said = told(tiny_set, tmp_path / "run", hungry(device), device, "train.group=48")
    assert "a group of 48 images of 32 px does not fit" in said
    assert "by two smaller passes about 16 would" in said
    assert "Give --set train.group=16: the global batch stays 96, as 6 groups" in said
    assert "the result changes" in said
    assert "checkpoint" not in said


def test_batch_counted_by_the_process(tiny_set: Path, tmp_path: Path) -> None:
    """Where every process has a batch of its own, that is what gets smaller."""
    device = Small()
    said = told(tiny_set, tmp_path / "run", hungry(device), device, "train.batch_per_process=40")
    assert "Give --batch-per-process 16, which changes the global batch" in said


def test_device_that_tells_no_memory(tiny_set: Path, tmp_path: Path) -> None:
    """Without figures half the group is advised."""
    said = told(tiny_set, tmp_path / "run", hungry(Small()), Accelerator(None), "train.group=48")
    assert "does not fit. Give --set train.group=24" in said


def test_late_failure_loses_no_checkpoint(tiny_set: Path, tmp_path: Path) -> None:
    """Memory that runs out in the second epoch leaves the checkpoint of the first, from which the run goes on."""
    device, out = Small(), tmp_path / "run"
    said = told(tiny_set, out, hungry(device, passes=4 + 5 * 8 + 3), device, "train.group=12")
    assert "does not fit" in said
    assert f"The last checkpoint is whole: {out}/last.pt" in said
    assert files.load(out / "last.pt").state["progress"]["step"] == 5
    run(tiny_set, out, shallow(), Accelerator(None), resume=True)
    assert files.load(out / "last.pt").state["progress"]["step"] == 10


def test_something_else_took_the_memory(tiny_set: Path, tmp_path: Path) -> None:
    """Where the training pass fits after all, the message says so and looks elsewhere."""
    device = Small()
    network = hungry(device)
    forward = network.forward

    def greedy_evaluation(*inputs: Tensor) -> Tensor:
        if not network.training:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(*inputs)

    network.forward = greedy_evaluation  # type: ignore[method-assign, assignment]
    said = told(tiny_set, tmp_path / "run", network, device, "train.group=8")
    assert "training in groups of 8 images of 32 px fits" in said
    assert "Lower evaluate.batch, which is 50" in said


@given(
    fixed=st.integers(0, 10**9), each=st.integers(1, 10**8), few=st.integers(1, 50), available=st.integers(0, 10**11)
)
def test_line_through_two_passes(fixed: int, each: int, few: int, available: int) -> None:
    """What is said to fit fits within nine tenths, and one sample more would not."""
    peaks = [(samples, fixed + each * samples) for samples in (few, 2 * few)]
    fits = largest_that_fits(peaks, available)
    slack = 1e-9 * (available + fixed) + 1
    assert fits == 0 or fixed + each * fits <= 0.9 * available + slack
    assert fixed + each * (fits + 1) >= 0.9 * available - slack
