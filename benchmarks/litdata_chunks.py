"""Runs litData's writer for two benchmarks, with the options that make it take the least CPU time."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

AT_ONCE = 256  # inputs that a worker receives at a time


def write_chunks(
    samples: Callable[[Any], Iterator[Any]], inputs: list[Any], out: Path, workers: int, size: int | str = "64MB"
) -> None:
    """Write chunks of `size`, by default 64 MB as in litData's documentation; `samples` turns an input into samples.

    With its default options, litData spawns workers, which then import PyTorch again, and passes single inputs through
    a shared queue. Both together take several times the CPU time. Forked workers are safe only if the order is kept,
    because otherwise litData starts threads before it forks.
    """
    from litdata import optimize

    optimize(
        samples, inputs=inputs, output_dir=str(out), chunk_bytes=size, num_workers=workers, batch_size=AT_ONCE,
        keep_data_ordered=True, start_method="fork", verbose=False,
    )  # fmt: skip
    chunks = json.loads((out / "index.json").read_text("utf-8"))["chunks"]
    written = sum(chunk["chunk_size"] for chunk in chunks)
    if written != len(inputs):  # litData reports no error if a worker was killed
        raise SystemExit(f"litData wrote {written:,} of {len(inputs):,} samples")
