from typing import Any

import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet as LiteEfficientNet
from efficientnet_pytorch import EfficientNet as PackageEfficientNet
from torch import Tensor, nn

from headrace.train.model.build import build_model
from headrace.train.model.efficientnet import EfficientNet
from tests.train.networks import Shape, narrow

# Parameters drawn so that signals neither die nor explode: the package's own start leaves outputs nearly constant.
B0, B1, LITE = "efficientnet-b0", "efficientnet-b1", "efficientnet-lite0"


def package_of(name: str, classes: int = 7) -> Any:
    """Return the package's own model in float64, without noise, and padded like TensorFlow for any size."""
    package = LiteEfficientNet if name == LITE else PackageEfficientNet
    plain = {"num_classes": classes, "drop_connect_rate": 0.0, "dropout_rate": 0.0, "image_size": None}
    return package.from_name(name, **plain).double()


@torch.no_grad()
def enliven(network: nn.Module) -> None:
    """Set random weights and statistics with which every layer matters."""
    generator = torch.Generator().manual_seed(0)

    def draw(tensor: Tensor, low: float, high: float) -> None:
        tensor.copy_(torch.rand(tensor.shape, generator=generator, dtype=torch.float64) * (high - low) + low)

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            spread = (3 / module.weight[0].numel()) ** 0.5
            draw(module.weight, -2 * spread, 2 * spread)
            if module.bias is not None:
                draw(module.bias, -0.5, 0.5)
        elif isinstance(module, nn.BatchNorm2d):
            draw(module.weight, 0.5, 1.5)
            draw(module.bias, -0.5, 0.5)
            draw(module.running_mean, -0.5, 0.5)  # type: ignore[arg-type]
            draw(module.running_var, 0.5, 2.0)  # type: ignore[arg-type]


def pair(name: str) -> tuple[Any, EfficientNet]:
    """Return the package's model and ours with the same weights."""
    package = package_of(name)
    enliven(package)
    ours = build_model(name, 7, init="random", weights=None, seed=0).network.double()
    assert isinstance(ours, EfficientNet)
    ours.load_state_dict(package.state_dict())
    return package, ours


def images(size: int, count: int = 3) -> Tensor:
    """Return normalised images of noise."""
    return torch.randn(count, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(size))


CASES = [(B0, 64), (B0, 96), (B0, 160), (B0, 224), (B0, 75), (B1, 64), (B1, 240), (LITE, 64), (LITE, 128), (LITE, 224)]


@pytest.mark.parametrize(("name", "size"), CASES)
@torch.no_grad()
def test_evaluates_as_the_package(name: str, size: int) -> None:
    """With running statistics, logits equal the package's up to float64 rounding, and differ between images."""
    package, ours = pair(name)
    wanted = package.eval()(images(size))
    assert wanted.std(0).min() > 1e-3 * wanted.abs().max()
    torch.testing.assert_close(ours.eval()(images(size)), wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "size"), [(B0, 64), (B1, 96), (LITE, 96)])
def test_trains_as_the_package(name: str, size: int) -> None:
    """In training, logits, gradients and new running statistics equal the package's up to float64 rounding."""
    package, ours = pair(name)
    labels = torch.tensor([0, 3, 6, 2])
    results = []
    for network in (package.train(), ours.train()):
        logits = network(images(size, 4))
        nn.functional.cross_entropy(logits, labels).backward()
        results.append(logits)
    torch.testing.assert_close(results[1], results[0], rtol=1e-8, atol=1e-8)
    wanted = dict(package.named_parameters())
    for parameter_name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[parameter_name].grad, rtol=1e-6, atol=1e-8)
    for buffer_name, buffer in package.named_buffers():
        torch.testing.assert_close(ours.get_buffer(buffer_name), buffer, rtol=1e-9, atol=1e-9)
    assert sum(parameter.grad.abs().max() > 1e-6 for parameter in wanted.values()) > 0.8 * len(wanted)


@pytest.mark.parametrize("name", [B0, B1, LITE])
def test_names_and_shapes_are_the_packages(name: str) -> None:
    """The state dict has the package's names and shapes, in the same order."""
    ours = build_model(name, 7, init="random", weights=None, seed=0).network.state_dict()
    package = package_of(name).state_dict()
    assert [(key, value.shape) for key, value in ours.items()] == [(key, one.shape) for key, one in package.items()]


@pytest.mark.parametrize("name", [B0, LITE])
def test_layout_does_not_matter(name: str) -> None:
    """The logits are the same in channels_last memory, which training uses."""
    _, ours = pair(name)
    ours.eval()
    wanted = ours(images(64))
    ours.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    torch.testing.assert_close(ours(images(64).contiguous(memory_format=torch.channels_last)), wanted)


def test_a_sample_alone_is_the_sample_in_a_batch() -> None:
    """In evaluation, a sample's logits do not depend on the other samples."""
    _, ours = pair(B0)
    ours.eval()
    batch = images(64)
    torch.testing.assert_close(torch.cat([ours(batch[[i]]) for i in range(3)]), ours(batch), rtol=1e-9, atol=1e-9)


def test_scales_of_one_and_none_are_the_same() -> None:
    """Noise arguments that drop nothing do not change the logits."""
    _, ours = pair(B0)
    ours.eval()
    batch, ones = images(64), torch.ones
    assert torch.equal(ours(batch, ones(3, 16), ones(3, ours.features)), ours(batch))


def test_dropped_block_is_skipped_for_that_sample_alone() -> None:
    """With scale 0 a block adds nothing to its sample, and other samples do not change."""
    _, ours = pair(B0)
    ours.eval()
    keep = torch.ones(3, 16)
    keep[1, 2] = 0
    dropped, plain = ours(images(64), keep), ours(images(64))
    with torch.no_grad():
        block: Any = ours._blocks[2]
        block._bn2.weight.zero_()
        block._bn2.bias.zero_()
    without = ours(images(64))
    assert not torch.allclose(without[1], plain[1])
    torch.testing.assert_close(dropped, torch.stack([plain[0], without[1], plain[2]]), rtol=1e-9, atol=1e-9)


def test_scale_multiplies_the_branch_of_blocks_with_a_skip_only() -> None:
    """Blocks that change the shape have no skip connection: their rate is 0, and a scale has no effect on them."""
    _, ours = pair(B0)
    ours.eval()
    rates = np.array(ours.drop_rates(0.2))
    skips = [one.skips for one in ours._blocks]
    assert rates.tolist() == [0.2 * i / 16 if skip else 0 for i, skip in enumerate(skips)]
    assert skips == [
        False,
        False,
        True,
        False,
        True,
        False,
        True,
        True,
        False,
        True,
        True,
        False,
        True,
        True,
        True,
        False,
    ]
    keep = torch.where(torch.tensor(skips), 1.0, 0.0).expand(3, 16)
    assert torch.equal(ours(images(64), keep), ours(images(64)))
    keep = torch.ones(3, 16)
    keep[:, 2] = 2
    assert not torch.allclose(ours(images(64), keep), ours(images(64)))


def test_dropout_multiplies_the_features() -> None:
    """The mask multiplies the input of the classifier: if all features are dropped, only its bias is left."""
    _, ours = pair(B0)
    ours.eval()
    mask = torch.ones(3, ours.features)
    mask[2] = 0
    logits = ours(images(64), None, mask)
    torch.testing.assert_close(logits[2], ours.head.bias)
    torch.testing.assert_close(logits[:2], ours(images(64))[:2])


def test_first_weights_come_from_the_seed() -> None:
    """A seed always gives the same initial weights, another seed gives others, and no generator changes."""
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = build_model(B0, 7, init="random", weights=None, seed=3).network.state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again = build_model(B0, 7, init="random", weights=None, seed=3).network.state_dict()
    other = build_model(B0, 7, init="random", weights=None, seed=4).network.state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["_fc.weight"], other["_fc.weight"])


@pytest.mark.parametrize("number", range(8))
def test_every_model_of_the_recipes_is_built(number: int) -> None:
    """Each of B0 to B7 has the package's architecture and returns logits; the models are narrow here to be fast."""
    narrow: Shape = {"width_coefficient": 0.1, "depth_coefficient": 0.1}
    built = build_model(f"efficientnet-b{number}", 5, init="random", weights=None, seed=0, **narrow)
    assert built.network.eval()(images(32).float()).shape == (3, 5)
    assert built.origin == "random initialisation"


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_gradients_lie_as_their_parameters(layout: torch.memory_format) -> None:
    """Gradients have the strides of their parameters; otherwise DDP would copy them."""
    network = build_model("efficientnet-b0", 10, init="random", weights=None, seed=0).network.train()
    network.to(memory_format=layout)  # type: ignore[call-overload]
    network(torch.randn(4, 3, 64, 64).contiguous(memory_format=layout)).sum().backward()
    parts = network.named_parameters()
    assert not [name for name, part in parts if part.grad is None or part.grad.stride() != part.stride()]


def test_layers_are_numbered_from_the_images_to_the_classifier() -> None:
    """Numbers go from the stem through the blocks to the classifier, and every layer has parameters."""
    network = narrow()
    depths = dict(zip([name for name, _ in network.named_parameters()], network.depths(), strict=True))
    blocks = {int(name.split(".")[1]) for name in depths if name.startswith("_blocks.")}
    assert set(depths.values()) == set(range(len(blocks) + 3))
    assert (depths["_conv_stem.weight"], depths["_blocks.3._bn1.weight"], depths["_conv_head.weight"]) == (
        0,
        4,
        len(blocks) + 1,
    )
    assert [name for name, depth in depths.items() if depth == len(blocks) + 2] == list(network.head_names)
