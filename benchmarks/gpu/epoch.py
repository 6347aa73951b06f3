"""Measures an epoch of training and its evaluation, as `headrace train` runs them: B0 at 224 px, random weights.

The seconds of an epoch include both, like the log of 2023. Compiling ends before the first epoch begins.
"""

from benchmarks.gpu.lines import LEFT_OUT
from benchmarks.gpu.setting import Rows, Setting, memory_columns
from benchmarks.harness.tables import Row
from headrace.train.machine.device import Accelerator

_SECONDS = {"off": 90, "default": 240, "reduce-overhead": 240}  # of two epochs, including compiling


def run(setting: Setting) -> Rows:
    """A row for each epoch, including the first one, which has cold caches."""
    for mode in ("off",) if setting.dry else ("default", "off", "reduce-overhead"):
        epochs = 1 if setting.dry else 2
        if not setting.has_time(_SECONDS[mode]):
            yield LEFT_OUT, {"compile": mode}
            continue
        shape = [f"train.epochs={epochs}", "optim.warmup_epochs=0", f"runtime.compile={mode}"]
        setup = setting.setup(*shape, "runtime.verdict=false")
        accelerator = Accelerator.choose(setting.device, 0, 1)
        accelerator.release()
        lines = setting.whole_run(setup)
        for line in lines:
            yield f"epochs at {setting.size} px", {"compile": mode, **_columns(line), **memory_columns(accelerator)}


def _columns(line: Row) -> Row:
    return {
        "epoch": line["epoch"],
        "seconds": line["seconds"],
        "of them training": line["train_seconds"],
        "images/s, training": line["images_per_second"],
        "stall, %": line["stall_percent"],
        "n": 1,
    }
