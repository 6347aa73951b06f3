"""A profile of real steps: the kernels that take longest, and the gaps between kernels in which the GPU is idle."""

import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]  # it is there
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.setting import Rows, Setting, train_on
from benchmarks.harness.tables import Row
from headrace.train.run.assemble import build_feed

_TOP = 15
_GAP_MICROSECONDS = 10.0  # shorter ones are what a launch takes


def run(setting: Setting) -> Rows:
    """Two tables: kernels, and how the time divides into busy and idle.

    On a GPU its own activity alone is recorded: that of the CPU adds a microsecond or two an operation, which at small
    sizes would be the profiler's gaps.
    """
    setup = setting.setup()
    place, step = setting.step(setup)
    steps = 1 if setting.dry else 10
    activities = [ProfilerActivity.CPU if setting.dry else ProfilerActivity.CUDA]
    with build_feed(setup, place, 0) as feed:
        train_on(step, feed, 1 if setting.dry else 10)
        place.accelerator.synchronize()
        with profile(activities=activities) as profiled:
            train_on(step, feed, steps)
            place.accelerator.synchronize()
    yield from (("gaps", row) for row in _gaps(profiled, steps))
    yield from (("kernels", row) for row in _kernels(profiled, steps, setting))


def _kernels(profiled: profile, steps: int, setting: Setting) -> list[Row]:
    averages = profiled.key_averages()
    kinds = {DeviceType.CPU} if setting.dry else {DeviceType.CUDA}
    taken = [
        (_own(event, setting), event) for event in averages if event.device_type in kinds and not _annotation(event)
    ]
    total = sum(microseconds for microseconds, _ in taken) or 1.0
    taken.sort(key=lambda pair: -pair[0])
    return [
        {
            "kernel": event.key[:90].replace("|", "/"),
            "calls a step": round(event.count / steps, 1),
            "ms a step": round(microseconds / 1000 / steps, 3),
            "share, %": round(100 * microseconds / total, 1),
        }
        for microseconds, event in taken[:_TOP]
    ]


def _annotation(event: object) -> bool:
    """Whether it spans kernels, as an optimizer's step does, and is none itself."""
    return bool(getattr(event, "is_user_annotation", False))


def _own(event: object, setting: Setting) -> float:
    return float(getattr(event, "self_cpu_time_total" if setting.dry else "self_device_time_total"))


def _gaps(profiled: profile, steps: int) -> list[Row]:
    """Busy and idle time of the device between its first and its last kernel, streams taken together."""
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
