"""What the GPU benchmark makes of names of kernels, and how it leaves layouts to torch."""

import pytest
import torch

from benchmarks.gpu.kinds import OTHER, kind_of
from benchmarks.gpu.steps import leave_to_torch
from headrace.train.step.compiled import keep_layout


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("void dali::kernels::resampling::BatchedSeparableResampleKernel<2>", "input: DALI and nvJPEG"),
        ("Memcpy HtoD (Pinned -> Device)", "copies"),
        ("ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevKernelArgsStorage<4096ul>)", "exchange of gradients"),
        ("void at::native::batch_norm_backward_elemt_channels_last_kernel<4>", "batch norm"),
        ("void cudnn::bn_fw_tr_1C11_kernel_NCHW<float, float, int, 512>", "batch norm"),
        ("void at::native::(anonymous namespace)::conv_depthwise2d_forward_kernel<3>", "depthwise convolution"),
        ("sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc", "convolution and product"),
        ("triton_poi_fused__native_batch_norm_legit_functional_convolution_12", "fused by inductor"),
        ("void at::native::(anonymous namespace)::multi_tensor_apply_kernel<FusedSgdMathFunctor>", "optimizer"),
        ("void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, MeanOps>>", "sums"),
        ("void at::native::elementwise_kernel<128, 4, direct_copy_kernel_cuda>", "one by one"),
        ("something_new", OTHER),
    ],
)
def test_kinds_of_kernels(kernel: str, kind: str) -> None:
    """Names as torch's profiler gives them."""
    assert kind_of(kernel) == kind


def test_layouts_are_left_to_torch_after_a_variant_that_kept_them() -> None:
    """The setting holds for the process: a variant without it has to take it back."""
    with torch._inductor.config.patch(force_layout_optimization=False):
        keep_layout("channels_last")
        leave_to_torch("channels_last")
        assert not torch._inductor.config.force_layout_optimization
