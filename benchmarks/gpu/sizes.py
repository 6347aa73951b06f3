"""Measures the step at small sizes and with small groups: eager, compiled, and as CUDA graphs.

At these sizes launches take longer than kernels. A note says if a graph was not recorded; the row then does not measure
graphs.
"""

from collections.abc import Iterator

from benchmarks.gpu.setting import Rows, Setting
from benchmarks.gpu.steps import Variant, measured


def variants(setting: Setting) -> Iterator[Variant]:
    """The combinations of sizes, batches and ways to compile."""
    size, batch = (64, 4) if setting.dry else (96, 128)
    for mode in ("off", "reduce-overhead"):
        yield Variant(f"{size} px, batch {batch}, compile {mode}", compiled=mode, size=size, batch=batch)
    for mode in () if setting.dry else ("off", "reduce-overhead", "default"):
        yield Variant(f"batch 32, compile {mode}", compiled=mode, batch=32)
        for size in (128, 160):
            yield Variant(f"{size} px, compile {mode}", compiled=mode, size=size)
        for batch in (64, 128):
            yield Variant(f"batch {batch}, compile {mode}", compiled=mode, batch=batch)


def run(setting: Setting) -> Rows:
    """Yield one table, with a row for each variant."""
    yield from measured(setting, variants(setting))
