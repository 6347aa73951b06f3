"""What networks of timm draw, found by torch's own tag of operators, is a function of (seed, step, group)."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from timm.layers import EvoNorm2dB0
from torch import Tensor, nn

from headrace.shards.errors import UsageError
from headrace.train.machine.device import Accelerator
from headrace.train.model.preferences import preferred_by
from headrace.train.model.timm_fitness import Drawing, refuse_unfit
from headrace.train.model.timm_network import TimmNetwork, timm_network
from headrace.train.recipe.sections import Model

CPU, IDS = Accelerator(None), np.zeros(4, np.int64)
BOTH = (
    "resnet18",
    "resnet50d",
    "convnext_atto",
    "vit_tiny_patch16_224",
    "mobilenetv4_conv_small",
    "tf_efficientnetv2_b0",
    "efficientnet_lite0",
    "regnetx_002",
    "levit_128s",
    "swin_tiny_patch4_window7_224",
    "mixer_s32_224",
    "pvt_v2_b0",
    "edgenext_xx_small",
    "test_mambaout",
    "test_byobnet",
    "coat_lite_tiny",
    "poolformerv2_s12",
    "mobilenetv3_small_050",
    "fastvit_t8",
    "nf_regnet_b0",
    "resmlp_12_224",
    "deit_tiny_distilled_patch16_224",
)
"""Those that take both rates."""
ONE = ("densenet121", "ghostnet_100", "vgg11", "efficientvit_m0", "repvit_m0_9")
"""Those that take dropout alone."""


def built(name: str, classes: int = 7) -> tuple[TimmNetwork, int]:
    """A network with both rates, or that which it takes, and the side of its images."""
    full = f"timm/{name}"
    preferred = preferred_by(full)
    rates = {"dropout": 0.2} | ({} if name in ONE else {"drop_connect": 0.2})
    return timm_network(full, classes, 0, **rates), preferred.size if preferred.fixed else 64


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [*BOTH, *ONE])
def test_all_that_is_drawn_follows_from_the_group(name: str) -> None:
    """Whatever was drawn before: the same group has the same logits, another one has others; nothing is left behind."""
    network, side = built(name)
    refuse_unfit(network, [side], 4, noisy=True)
    for parameter in network.head.parameters():
        nn.init.normal_(parameter)  # some begin with zeros, and logits would say nothing
    noise = network.noise(Model(), 3, CPU)
    images = torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(0))
    found = []
    with torch.no_grad():
        for step, group, disturbed in ((5, 1, 1), (5, 1, 2), (5, 2, 1), (6, 1, 1)):
            torch.manual_seed(disturbed)
            before = torch.get_rng_state()
            with noise.around(step, group, IDS, IDS) as handed, Drawing() as drawing:
                found.append(network(images, *handed))
            assert torch.equal(torch.get_rng_state(), before)
    assert drawing.operators
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[3])


@pytest.mark.parametrize("name", [*BOTH, *ONE])
def test_without_rates_there_is_no_noise(name: str) -> None:
    """Rates of 0 are rates of 0, also in networks whose own default is another."""
    preferred = preferred_by(f"timm/{name}")
    side = preferred.size if preferred.fixed else 64
    network = timm_network(f"timm/{name}", 7, 0).train()
    for parameter in network.head.parameters():
        nn.init.normal_(parameter)  # some begin with zeros, and logits would say nothing
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        with torch.no_grad():
            found.append(network(torch.ones(2, 3, side, side)))
    assert torch.equal(*found)


@pytest.mark.parametrize("name", ONE)
def test_rate_that_is_not_taken_is_refused(name: str) -> None:
    """It is named, with what to set."""
    with pytest.raises(
        UsageError, match=rf"drop_connect = 0\.2: timm/{name} does not support drop_path_rate.*\. Set model\.dro"
    ):
        timm_network(f"timm/{name}", 7, 0, drop_connect=0.2)


class Drawer(nn.Module):
    """Passes images on, and does something beside it."""

    def __init__(self, beside: Callable[[], object]) -> None:
        super().__init__()
        self.beside = beside

    def forward(self, x: Tensor) -> Tensor:
        """The same numbers."""
        self.beside()
        return x


@pytest.mark.parametrize("beside", [random.random, lambda: np.random.rand(2)], ids=["random", "numpy"])  # noqa: NPY002
def test_other_generators_are_refused(beside: Callable[[], object]) -> None:
    """A network that draws from Python's or NumPy's generators cannot be the same on any number of processes."""
    network, side = built("test_resnet")
    network.timm.conv1 = nn.Sequential(Drawer(beside), network.timm.conv1)
    with pytest.raises(UsageError, match="draws from the generators of NumPy or Python's random"):
        refuse_unfit(network, [side], 4, noisy=True)


def test_other_running_numbers_are_refused() -> None:
    """Statistics that no rule makes independent of the processes are named; the network is left as it was."""
    network, side = built("test_resnet")
    network.timm.maxpool = nn.Sequential(network.timm.maxpool, EvoNorm2dB0(network.timm.bn1.num_features))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(UsageError, match=r"changes its buffer maxpool\.1\.running_var"):
        refuse_unfit(network, [side], 4, noisy=True)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_batch_normalisation_that_is_used_twice_is_refused() -> None:
    """The rule for running statistics counts one pass a group."""
    network, side = built("test_resnet")
    norm = network.timm.bn1
    network.timm.bn1 = nn.Sequential(norm, norm)
    with pytest.raises(UsageError, match=r"uses the batch normalisation bn1.* more than once in a pass"):
        refuse_unfit(network, [side], 4, noisy=True)


def test_sides_that_are_not_taken_are_refused() -> None:
    """What the network itself says is in the line, with what to do."""
    network, _ = built("vit_tiny_patch16_224")
    with pytest.raises(UsageError, match=r"the network fails on 2 images of 64 px in training .* augment\.size=model"):
        refuse_unfit(network, [64], 4, noisy=True)


def test_noise_without_effect_is_refused() -> None:
    """Rates that were given, and nothing drawn."""
    network = timm_network("timm/test_resnet", 7, 0)
    with pytest.raises(UsageError, match=r"model\.dropout and model\.drop_connect have no effect"):
        refuse_unfit(network, [64], 4, noisy=True)
    refuse_unfit(network, [64], 4, noisy=False)
