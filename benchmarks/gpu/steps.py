"""Measures the step on a resident batch in variants, each of which differs from the base as its name says.

The base is bf16, channels_last, plain torch, a fused optimizer. The seconds of compiling include everything before the
first timed step. A peak of memory includes weights, optimizer, activations and the memory of CUDA graphs.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from statistics import median
from unittest import mock

import torch

from benchmarks.gpu.lines import LEFT_OUT
from benchmarks.gpu.setting import Rows, Setting, memory_columns, rate_columns
from benchmarks.harness.tables import Row
from headrace.shards.errors import HeadraceError
from headrace.train.step import compiled
from headrace.train.step.compilation import compile_step
from headrace.train.step.update import TrainStep

_EAGER, _COMPILED = 30, 150  # seconds that a variant may take, including compiling


@dataclass(frozen=True)
class Variant:
    """One way to compute the step."""

    name: str
    precision: str = "bf16"
    layout: str = "channels_last"
    compiled: str = "off"
    fused: bool = True
    keeps_layout: bool = True  # step.compiled.keep_layout
    padding: str = "images"
    batch: int | None = None
    size: int | None = None


def variants(setting: Setting) -> Iterator[Variant]:
    """The base and the other variants, the most important ones first."""
    yield Variant("base")
    yield Variant("compile default", compiled="default")
    yield Variant("compile default, layouts left to torch", compiled="default", keeps_layout=False)
    yield Variant("fp16", "fp16")
    yield Variant("batch 512", batch=4 if setting.dry else 512)
    yield Variant("compile reduce-overhead", compiled="reduce-overhead")
    yield Variant("padding = weights", padding="weights")
    yield Variant("padding = weights, compile default", compiled="default", padding="weights")
    for precision in ("fp32",) if setting.dry else ("fp32", "tf32"):
        yield Variant(precision, precision)
    yield Variant("contiguous", layout="contiguous")
    yield Variant("optimizer not fused", fused=False)


def run(setting: Setting) -> Rows:
    """Yield one table, with a row for each variant."""
    yield from measured(setting, variants(setting))


def measured(setting: Setting, tried: Iterable[Variant]) -> Rows:
    """A row for each variant, as far as there is time."""
    for variant in tried:
        if setting.has_time(_EAGER if variant.compiled == "off" else _COMPILED):
            yield "step", _measured(setting, variant)
        else:
            yield LEFT_OUT, {"variant": variant.name}


def _measured(setting: Setting, variant: Variant) -> Row:
    size, batch = variant.size or setting.size, variant.batch or setting.batch
    shape = [f"augment.size={size}", f"train.global_batch={batch}", f"train.group={batch}"]
    how = [f"runtime.{key}={getattr(variant, key)}" for key in ("precision", "layout", "padding")]
    head: Row = {"variant": variant.name, "size, px": size, "batch": batch}
    _, step = setting.step(setting.setup(*shape, *how))
    step.accelerator.release()
    if not variant.fused:
        settings = {key: value for key, value in step.optimizer.defaults.items() if key not in ("fused", "foreach")}
        step.optimizer = torch.optim.SGD(step.optimizer.param_groups, **{**settings, "fused": False, "foreach": True})
        for group in step.optimizer.param_groups:
            group.update(fused=False, foreach=True)
    try:
        with nullcontext() if variant.keeps_layout else mock.patch.object(compiled, "keep_layout", leave_to_torch):
            return {**head, **_timed(setting, step, variant.compiled, batch, size)}
    except (torch.OutOfMemoryError, HeadraceError) as error:
        return {**head, "note": str(error).splitlines()[0]}
    finally:
        step.compilable.use("off")


def _timed(setting: Setting, step: TrainStep, mode: str, batch: int, size: int) -> Row:
    note, resident, began = "", setting.resident(step, batch, size), time.perf_counter()
    if setting.dry and mode != "off":
        mode, note = "off", "eager in its place: compiling takes minutes on a CPU"
    counters = torch._dynamo.utils.counters  # noqa: SLF001  it has no public name
    counters.clear()
    compile_step(step, mode, [resident])
    step.warm_up(resident)
    step.accelerator.synchronize()
    ready = time.perf_counter() - began
    rates = setting.on_resident(step, resident)
    skipped = counters["inductor"]["cudagraph_skips"]
    note = note or (f"{skipped} graphs were not recorded" if skipped else "")
    return {
        **rate_columns(rates),
        "ms a step": round(1000 * batch / median(rates), 2),
        "seconds before the first step": round(ready, 1),
        **memory_columns(step.accelerator),
        "note": note,
    }


def leave_to_torch(_: str) -> None:
    """Let torch choose layouts, even after a variant that forced them."""
    torch._inductor.config.force_layout_optimization = False  # noqa: SLF001  documented under this name
