"""litData's writer as both benchmarks use it, with those of its options that cost it the least CPU time."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

AT_ONCE = 256  # inputs that a worker is handed at a time


def write_chunks(
    samples: Callable[[Any], Iterator[Any]], inputs: list[Any], out: Path, workers: int, size: int | str = "64MB"
) -> None:
    """Chunks of 64 MB, the size in litData's documentation, or of another; `samples` makes inputs into their samples.

    Its defaults start each worker from nothing, PyTorch's import included, and hand over single inputs through a
    shared queue, which takes several times the CPU time. Forked workers are safe only when the order
    is kept, since otherwise it starts threads before it forks.
    """
    from litdata import optimize

    optimize(
        samples, inputs=inputs, output_dir=str(out), chunk_bytes=size, num_workers=workers, batch_size=AT_ONCE,
        keep_data_ordered=True, start_method="fork", verbose=False,
    )  # fmt: skip
    chunks = json.loads((out / "index.json").read_text("utf-8"))["chunks"]
    written = sum(chunk["chunk_size"] for chunk in chunks)
    if written != len(inputs):  # it ends as if all were well when a worker was killed
        raise SystemExit(f"litData wrote {written:,} of {len(inputs):,} samples")
