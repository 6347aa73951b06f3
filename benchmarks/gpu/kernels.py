"""Profiles real steps: the longest kernels, the time of each kind of kernel, and the idle time of the GPU.

Steps run eagerly, as in the product and in two other ways: with padded weights instead of padded images
(`runtime.padding`), and with torch's own gradient of a mean, which changes the layout of a tensor in each block. The
kind `input` is the GPU time of crop, resize and decoding, by which R_real / R_synth stays below 1.
"""

from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from unittest import mock

import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]  # it is there
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.kinds import kind_of
from benchmarks.gpu.lines import LEFT_OUT
from benchmarks.gpu.setting import Rows, Setting, train_on
from benchmarks.harness.tables import Row
from headrace.train.model import efficientnet
from headrace.train.run.assemble import build_feed

_TOP = 15
_GAP_MICROSECONDS = 10.0  # shorter gaps are the time of a launch
_SECONDS = 40  # for each way
_TORCHS_MEAN = "torch's mean"
_WAYS: dict[str, tuple[str, ...]] = {
    "as it is": (),
    "padding = weights": ("runtime.padding=weights",),
    _TORCHS_MEAN: (),
}


def run(setting: Setting) -> Rows:
    """Yield the rows of three tables: busy and idle time, kinds of kernels, and the longest kernels."""
    for way, settings in _WAYS.items():
        if not setting.has_time(_SECONDS):
            yield LEFT_OUT, {"way": way}
            continue
        steps = 1 if setting.dry else 10
        with _torchs_mean() if way == _TORCHS_MEAN else nullcontext():
            profiled = _profiled(setting, settings, steps)
        head: Row = {"way": way}
        yield from (("gaps", {**head, **row}) for row in _gaps(profiled, steps))
        kernels = _kernels(profiled, setting)
        yield from (("kinds of kernels", {**head, **row}) for row in _kinds(kernels, steps))
        yield from (("kernels", {**head, **row}) for row in _longest(kernels, steps))


def _torchs_mean() -> AbstractContextManager[Any]:
    return mock.patch.object(efficientnet, "spatial_mean", lambda x: x.mean((2, 3)))


def _profiled(setting: Setting, settings: tuple[str, ...], steps: int) -> profile:
    """Profile some steps; on a GPU, record only the activity of the device.

    Recording the CPU adds a microsecond or two per operation, which would cause gaps at small sizes.
    """
    setup = setting.setup(*settings)
    place, step = setting.step(setup)
    profiled: profile = profile(activities=[ProfilerActivity.CPU if setting.dry else ProfilerActivity.CUDA])
    with build_feed(setup, place, 0) as feed:
        train_on(step, feed, 1 if setting.dry else 10)
        place.accelerator.synchronize()
        with profiled:
            train_on(step, feed, steps)
            place.accelerator.synchronize()
    return profiled


def _kernels(profiled: profile, setting: Setting) -> list[tuple[float, Any]]:
    """The microseconds of each kernel, the longest first."""
    kinds = {DeviceType.CPU} if setting.dry else {DeviceType.CUDA}
    name = "self_cpu_time_total" if setting.dry else "self_device_time_total"
    averages = [one for one in profiled.key_averages() if one.device_type in kinds and not _annotation(one)]
    return sorted(((float(getattr(one, name)), one) for one in averages), key=lambda pair: -pair[0])


def _kinds(kernels: list[tuple[float, Any]], steps: int) -> list[Row]:
    taken, calls = Counter[str](), Counter[str]()
    for microseconds, event in kernels:
        taken[kind_of(event.key)] += microseconds  # type: ignore[assignment]  # a Counter of fractions
        calls[kind_of(event.key)] += event.count
    return [
        {"kind": kind, **_columns(microseconds, calls[kind], steps, sum(taken.values()))}
        for kind, microseconds in taken.most_common()
    ]


def _longest(kernels: list[tuple[float, Any]], steps: int) -> list[Row]:
    total = sum(microseconds for microseconds, _ in kernels)
    return [
        {"kernel": event.key[:90].replace("|", "/"), **_columns(microseconds, event.count, steps, total)}
        for microseconds, event in kernels[:_TOP]
    ]


def _columns(microseconds: float, calls: int, steps: int, total: float) -> Row:
    return {
        "calls a step": round(calls / steps, 1),
        "ms a step": round(microseconds / 1000 / steps, 3),
        "share, %": round(100 * microseconds / (total or 1.0), 1),
    }


def _annotation(event: object) -> bool:
    """Whether the event is not a kernel but spans kernels, like an optimizer's step."""
    return bool(getattr(event, "is_user_annotation", False))


def _gaps(profiled: profile, steps: int) -> list[Row]:
    """The busy and idle time of the device between its first and its last kernel, over all streams."""
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in profiled.events() or []
        if event.device_type == DeviceType.CUDA and not _annotation(event)
    )
    if not spans:
        return [{"note": f"no device events: torch {torch.__version__} saw a CPU only"}]
    busy, gaps, (first, end) = spans[0][1] - spans[0][0], [], spans[0]
    for start, stop in spans[1:]:
        if start > end:
            gaps.append(start - end)
        busy += max(0.0, stop - max(start, end))
        end = max(end, stop)
    long = [gap for gap in gaps if gap > _GAP_MICROSECONDS]
    return [
        {
            "ms a step": round((end - first) / 1000 / steps, 3),
            "busy, %": round(100 * busy / (end - first), 2),
            f"gaps over {_GAP_MICROSECONDS:g} us a step": round(len(long) / steps, 1),
            "ms a step in them": round(sum(long) / 1000 / steps, 3),
            "longest gap, ms": round(max(gaps, default=0.0) / 1000, 3),
        }
    ]
