"""An epoch of training and the evaluation after it, as `headrace train` runs them: B0 at 224 px, random weights.

Seconds of an epoch count both, as the log of 2023 did; compiling is over before the first begins.
"""

from benchmarks.gpu.setting import Setting, memory_columns
from benchmarks.harness.tables import Row
from headrace.train.machine.device import Accelerator


def run(setting: Setting) -> dict[str, list[Row]]:
    """A row an epoch; the first has cold caches and counts too."""
    rows: list[Row] = []
    for mode in ("off",) if setting.dry else ("off", "default", "reduce-overhead"):
        epochs = 1 if setting.dry else 3
        shape = [f"train.epochs={epochs}", "optim.warmup_epochs=0", f"runtime.compile={mode}"]
        setup = setting.setup(*shape, *(["runtime.verdict=false"] if setting.dry else []))
        accelerator = Accelerator.choose(setting.device, 0, 1)
        accelerator.release()
        lines = setting.whole_run(setup)
        rows += [{"compile": mode, **_columns(line), **memory_columns(accelerator)} for line in lines]
    return {f"epochs at {setting.size} px": rows}


def _columns(line: Row) -> Row:
    return {
        "epoch": line["epoch"],
        "seconds": line["seconds"],
        "of them training": line["train_seconds"],
        "images/s, training": line["images_per_second"],
        "stall, %": line["stall_percent"],
        "n": 1,
    }
