import pytest
import torch

from headrace.train.step.average import WeightAverage
from tests.train.networks import narrow


@pytest.mark.parametrize(("half_life", "batch"), [(100, 100), (400, 100), (30, 10)])
def test_average_has_the_half_life_in_samples(half_life: int, batch: int) -> None:
    """After the live weights jump, the average, running statistics included, is half-way after `half_life` samples."""
    network = narrow().double()
    average = WeightAverage(network, half_life, batch)
    start = {key: value.clone() for key, value in network.state_dict().items() if value.is_floating_point()}
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if value.is_floating_point():
                value.copy_(start[key] + 1)
    for _ in range(half_life // batch):
        average.update()
    for key, value in average.network.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, start[key] + 0.5, rtol=0, atol=1e-12)
    assert not any(parameter.requires_grad for parameter in average.network.parameters())


def test_average_leaves_the_live_weights_alone() -> None:
    """Updating the average changes nothing in the trained network."""
    network = narrow()
    average = WeightAverage(network, 10, 10)
    with torch.no_grad():
        network.head.weight.add_(1)
    before = network.head.weight.clone()
    average.update()
    assert torch.equal(network.head.weight, before)
    assert not torch.equal(average.network.state_dict()["_fc.weight"], before)
