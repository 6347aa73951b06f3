from functools import partial
from pathlib import Path

import pytest
import torch

from headrace.train.checkpoint.restore import state_of
from headrace.train.run.assemble import build_feed
from headrace.train.step.compilation import compile_step
from headrace.train.step.tally import LossRing, Tally
from tests.gpu.steps import losses_of, made, no_waiting, on_resident, resident


def test_first_losses_are_those_of_the_cpu(tiny_set: Path, tmp_path: Path) -> None:
    """In exact fp32 without dropout three updates on equal images have the CPU's losses."""
    settings = ("runtime.precision=fp32", "model.dropout=0", "optim.name=sgd", "optim.lr=0.01")
    _, _, on_cpu = made(tiny_set, tmp_path, "cpu", *settings)
    _, _, on_gpu = made(tiny_set, tmp_path, "cuda", *settings)
    assert on_resident(on_gpu, 3) == pytest.approx(on_resident(on_cpu, 3), rel=1e-4)


@pytest.mark.parametrize("precision", ["tf32", "bf16", "fp16"])
@pytest.mark.parametrize("layout", ["channels_last", "contiguous"])
def test_every_precision_and_layout_trains(tiny_set: Path, tmp_path: Path, precision: str, layout: str) -> None:
    """The first loss is near that of exact fp32, and the loss falls on one batch over and over."""
    settings = (f"runtime.precision={precision}", f"runtime.layout={layout}", "optim.warmup_epochs=0")
    _, _, exact = made(tiny_set, tmp_path, "cuda", "runtime.precision=fp32", "optim.warmup_epochs=0")
    _, _, step = made(tiny_set, tmp_path, "cuda", *settings)
    losses = on_resident(step, 20)
    assert losses[0] == pytest.approx(on_resident(exact, 1)[0], rel=0.05)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "rmsprop"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_hot_loop_never_waits(tiny_set: Path, tmp_path: Path, optimizer: str, precision: str) -> None:
    """Updates on real batches make the host wait for nothing, by torch's own debug mode.

    fp16 with rmsprop is the exception that the first lines of a run warn of.
    """
    if (precision, optimizer) == ("fp16", "rmsprop"):
        pytest.skip("torch's RMSprop reads at each step whether a gradient overflowed")
    settings = (f"runtime.precision={precision}", f"optim.name={optimizer}")
    setup, place, step = made(tiny_set, tmp_path, "cuda", *settings)
    with build_feed(setup, place, 0) as feed:
        losses_of(step, feed, 2)  # what is made at first use
        tally, losses = Tally(place.accelerator), LossRing(3, place.accelerator, 2)
        place.accelerator.synchronize()
        with no_waiting():
            for number in (2, 3, 4):
                step(number, feed, tally, losses)
    assert tally.total(place.world).seen == 96


def test_waiting_is_found() -> None:
    """The guard above sees a read."""
    number = torch.ones(1, device="cuda")
    with pytest.raises(RuntimeError), no_waiting():
        number.item()


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_compiled_step_is_the_step(tiny_set: Path, tmp_path: Path, mode: str) -> None:
    """Five updates of four micro-batches at two sizes have the plain step's losses and end near its weights."""
    settings = ("runtime.precision=fp32", "optim.name=sgd", "optim.lr=0.001", "augment.sizes=[[0.0, 32], [0.5, 64]]")
    found = []
    for compiled in ("off", mode):
        _, _, step = made(tiny_set, tmp_path, "cuda", *settings)
        assert compile_step(step, compiled, [resident(step, 32), resident(step, 64)]).mode == compiled
        step.warm_up(resident(step, 32))
        found.append((on_resident(step, 5, 32) + on_resident(step, 5, 64), state_of(step)["model"]))
    (plain, weights), (losses, others) = found
    assert losses == pytest.approx(plain, rel=2e-3)
    assert list(others) == list(weights)
    for name, value in weights.items():
        if value.is_floating_point():
            torch.testing.assert_close(others[name], value, rtol=0.05, atol=2e-3, msg=partial("{}: {}".format, name))


def test_replayed_graph_never_waits(tiny_set: Path, tmp_path: Path) -> None:
    """A replayed CUDA graph makes the host wait for nothing either."""
    setup, place, step = made(tiny_set, tmp_path, "cuda", "runtime.precision=bf16")
    compile_step(step, "reduce-overhead", [resident(step)])
    with build_feed(setup, place, 0) as feed:
        losses_of(step, feed, 3)
        tally, losses = Tally(place.accelerator), LossRing(2, place.accelerator, 3)
        place.accelerator.synchronize()
        with no_waiting():
            for number in (3, 4):
                step(number, feed, tally, losses)
    assert tally.total(place.world).seen == 64
