"""Messages about GPUs, derived from torch's answers."""

from dataclasses import replace

import pytest
import torch

from headrace.shards.errors import UsageError
from headrace.train.machine.device import Accelerator
from headrace.train.machine.gpus import Gpus

FOUR = Gpus(4, "2.13.0+cu130", "13.0", None)
NONE = replace(FOUR, count=0)
NO_DRIVER = "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver"
OLD_DRIVER = "The NVIDIA driver on your system is too old (found version 11040)."


def refusal(gpus: Gpus, wanted: str = "cuda", processes: int = 1) -> str:
    """Return the line that ends the command, with exit code 2."""
    with pytest.raises(UsageError) as caught:
        gpus.choose(wanted, processes)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_choice_of_device() -> None:
    """The GPU is used if there is one, unless the CPU is requested; without a GPU, auto is the CPU."""
    assert [FOUR.choose(wanted, 4) for wanted in ("auto", "cuda", "cpu")] == [4, 4, 0]
    assert [NONE.choose(wanted, 9) for wanted in ("auto", "cpu")] == [0, 0]


def test_build_without_cuda() -> None:
    """A CPU build of torch is named as the cause, whatever else is set."""
    assert "torch 2.13.0+cpu is built without CUDA" in refusal(Gpus(0, "2.13.0+cpu", None, ""))


@pytest.mark.parametrize("visible", ["", "-1", " ", "-1,0"])
def test_all_gpus_hidden(visible: str) -> None:
    """If CUDA_VISIBLE_DEVICES hides every GPU, the error names it with its value."""
    said = refusal(replace(NONE, visible=visible))
    assert f"CUDA_VISIBLE_DEVICES is {visible!r}, which hides every GPU" in said
    assert replace(NONE, visible=visible).hint == f"CUDA_VISIBLE_DEVICES is {visible!r}"


@pytest.mark.parametrize("message", [NO_DRIVER, OLD_DRIVER])
def test_driver_missing_or_too_old(message: str) -> None:
    """The error has torch's message and what to check."""
    said = refusal(replace(NONE, said=message))
    assert message in said
    assert "check that nvidia-smi shows a GPU" in said
    assert "supports CUDA 13.0" in said
    assert replace(NONE, said=message).hint == message.partition(". Please")[0]  # one sentence, without advice


def test_name_that_leads_nowhere() -> None:
    """The error about a GPU or MIG instance that does not exist shows the value, which is the likely cause."""
    assert "CUDA_VISIBLE_DEVICES, which is 'MIG-1234'," in refusal(replace(NONE, visible="MIG-1234"))


def test_more_processes_than_gpus() -> None:
    """Two processes on one GPU are refused, also with device = auto, with the number that works."""
    for wanted in ("auto", "cuda"):
        said = refusal(replace(FOUR, count=1), wanted, 2)
        assert "2 processes were started on this machine, but 1 GPU is visible" in said
        assert "NCCL cannot share a GPU among processes: start 1" in said
    assert "4 GPUs are visible (CUDA_VISIBLE_DEVICES is '0,1,2,3')" in refusal(
        replace(FOUR, visible="0,1,2,3"), "auto", 6
    )


def test_processes_on_a_mig_instance() -> None:
    """Several processes on MIG instances are refused with their own reason."""
    mig = replace(FOUR, count=1, visible="MIG-aaaa,MIG-bbbb")
    assert "a process can use only one MIG instance" in refusal(mig, "auto", 2)
    assert mig.choose("auto", 1) == 1


def test_no_hint_where_nothing_is_odd() -> None:
    """With GPUs, or with a CPU build of torch, there is no hint."""
    assert FOUR.hint == ""
    assert Gpus(0, "2.13.0+cpu", None, None).hint == ""


@pytest.mark.skipif(torch.version.cuda is not None, reason="needs a torch that is built without CUDA")
def test_look_at_this_machine() -> None:
    """On a CPU build, no GPU is found, and the cause is right."""
    assert Accelerator.look().count == 0
    assert "built without CUDA" in refusal(Accelerator.look())


def test_tf32_needs_a_gpu() -> None:
    """A precision that only GPUs have is refused on a CPU, with an alternative."""
    with pytest.raises(UsageError, match="tf32, which needs a GPU"):
        Accelerator(None).refuse("tf32")
