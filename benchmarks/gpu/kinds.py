"""Finds the purpose of a GPU kernel from its name."""

import re

_KINDS = {
    "fused by inductor": r"^triton_",
    "input: DALI and nvJPEG": r"dali|nvjpeg|jpeg",
    "copies": r"^mem(cpy|set)",
    "exchange of gradients": r"nccl",
    "batch norm": r"batch_?norm|bn_(fw|bw)",
    "depthwise convolution": r"depthwise|[dw]grad2d_grouped|grouped_direct|conv2d_c1_k1",
    "convolution and product": r"conv|xmma|gemm|gemv|cutlass|implicit|dgrad|wgrad|fprop|sm\d+_|splitk",
    "optimizer": r"multi_tensor|fused_?(sgd|adam)|foreach",
    "sums": r"reduce|softmax|nll",
    "one by one": r"elementwise|vectorized|unrolled|copy|fill|cat|index",
}
_FOUND = [(kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _KINDS.items()]
OTHER = "other"


def kind_of(kernel: str) -> str:
    """The first kind whose pattern occurs in the name."""
    return next((kind for kind, pattern in _FOUND if pattern.search(kernel)), OTHER)
