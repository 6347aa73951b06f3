from pathlib import Path

import pytest
import torch
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
    """A device of 8 GiB, of which other processes use 1 GiB and tensors used at most 6.5."""

    def memory(self) -> Memory:
        """Return the figures of a GPU."""
        return Memory(8 * 2**30, 13 * 2**29, 2**30)


def failing(*, training: bool = True, passes: int = 0) -> EfficientNet:
    """Return a network that runs out of memory in training or in evaluation, after some passes of that kind."""
    network, done = shallow(), 0
    forward = network.forward

    def limited(images: Tensor, *noise: Tensor) -> Tensor:
        nonlocal done
        done += network.training is training
        if network.training is training and done > passes:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity")
        return forward(images, *noise)

    network.forward = limited  # type: ignore[method-assign, assignment]
    return network


def run(
    shards: Path, out: Path, network: EfficientNet, device: Accelerator, *settings: str, resume: bool = False
) -> None:
    """Run the network on the device."""
    request = Request(
        shards, None if resume else "demo", (*SETTINGS, *settings), out=out, resume="last" if resume else None
    )
    built = Built(network, normalisation_of("efficientnet-b0"), "")
    with StopRequest() as stop:
        carry_out(resolve(request, 1), Place(World(), device, 1), stop, built)


def told(*arguments: object, **named: bool) -> str:
    """Return the error that ends the run, with exit code 1."""
    with pytest.raises(HeadraceError) as caught:
        run(*arguments, **named)  # type: ignore[arg-type]
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_line_names_what_was_asked_and_what_to_lower(tiny_set: Path, tmp_path: Path) -> None:
    """The line has torch's request, the device's memory, the size of a pass, and the values to lower."""
    said = told(tiny_set, tmp_path / "run", failing(), Small(None), "train.group=48")
    assert (
        "out of memory on cpu when 2.50 GiB more were requested. The device has 8.0 GiB, of which tensors held" in said
    )
    assert "at most 6.5 GiB and the decoder and other programs hold 1.0 GiB" in said
    assert "48 images of 32 px through efficientnet-b0 at once, evaluation 50 of 32 px" in said
    assert "Lower train.group, which is 48 and must divide train.global_batch, 96, or evaluate.batch" in said
    assert "another group size changes the result" in said
    assert "checkpoint is intact" not in said


def test_nothing_is_tried_again(tiny_set: Path, tmp_path: Path) -> None:
    """After the failed pass, the network is not called again."""
    network = failing()
    forward, calls = network.forward, list[int]()

    def counted(images: Tensor, *noise: Tensor) -> Tensor:
        calls.append(len(images))
        return forward(images, *noise)

    network.forward = counted  # type: ignore[method-assign, assignment]
    told(tiny_set, tmp_path / "run", network, Small(None), "train.group=48")
    assert calls == [48]


def test_batch_counted_by_the_process(tiny_set: Path, tmp_path: Path) -> None:
    """With batch_per_process, this is the value to lower."""
    said = told(tiny_set, tmp_path / "run", failing(), Small(None), "train.batch_per_process=40")
    assert "Lower --batch-per-process, which is 40, or evaluate.batch" in said


def test_device_that_tells_no_memory(tiny_set: Path, tmp_path: Path) -> None:
    """Unknown figures are omitted."""
    said = told(tiny_set, tmp_path / "run", failing(), Accelerator(None), "train.group=48")
    assert "GiB more were requested. Training passes 48 images" in said


def test_late_failure_loses_no_checkpoint(tiny_set: Path, tmp_path: Path) -> None:
    """A failure in the second epoch leaves the checkpoint of the first, from which the run resumes."""
    out = tmp_path / "run"
    said = told(tiny_set, out, failing(passes=4 + 5 * 8 + 3), Small(None), "train.group=12")
    assert f"The last checkpoint is intact: {out}/last.pt" in said
    assert files.load(out / "last.pt").state["progress"]["step"] == 5
    run(tiny_set, out, shallow(), Accelerator(None), resume=True)
    assert files.load(out / "last.pt").state["progress"]["step"] == 10


def test_evaluation_runs_out(tiny_set: Path, tmp_path: Path) -> None:
    """A failure in evaluation ends the run with the same line."""
    said = told(tiny_set, tmp_path / "run", failing(training=False), Small(None), "train.group=8")
    assert "evaluation 50 of 32 px" in said
    assert "or evaluate.batch if evaluation failed" in said
