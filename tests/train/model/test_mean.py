import pytest
import torch

from headrace.train.model.mean import spatial_mean


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_mean_and_gradient_have_torchs_bits(layout: torch.memory_format, dtype: torch.dtype) -> None:
    """Forward and backward pass give torch's bits in both layouts."""
    torch.manual_seed(0)
    ours = torch.randn(3, 5, 4, 7).to(dtype).contiguous(memory_format=layout).requires_grad_()
    theirs = ours.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    weights = torch.randn(3, 5).to(dtype)
    made, expected = spatial_mean(ours), theirs.mean((2, 3))
    (made * weights).sum().backward()
    (expected * weights).sum().backward()
    assert torch.equal(made, expected)
    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.equal(ours.grad, theirs.grad)


def test_gradient_beside_another_stays_channels_last() -> None:
    """Added to another gradient, as in a block, the gradient stays channels_last; torch's own is contiguous."""
    x = torch.randn(2, 6, 8, 8).contiguous(memory_format=torch.channels_last).requires_grad_()
    squeezed = torch.sigmoid(spatial_mean(x))[:, :, None, None] * x
    squeezed.square().sum().backward()
    assert x.grad is not None
    assert x.grad.is_contiguous(memory_format=torch.channels_last)


def test_compiled_it_is_torchs_own() -> None:
    """The compiled mean has no graph break."""
    compiled = torch.compile(spatial_mean, backend="eager", fullgraph=True)
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(compiled(x), x.mean((2, 3)))
