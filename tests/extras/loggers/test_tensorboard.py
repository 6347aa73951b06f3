import subprocess
import sys
from pathlib import Path

import pytest

from headrace.train.record.loggers.tensorboard import FOLDER, TensorBoardLogger
from tests.train.record.moments import end, logged, report, start, tell_all

Curve = list[tuple[int, float]]


def curves(folder: Path) -> dict[str, Curve]:
    """What TensorBoard's own reader finds: (step, value) of each scalar."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    reader = EventAccumulator(str(folder / FOLDER))
    reader.Reload()
    return {
        tag: [(event.step, float(tensor_util.make_ndarray(event.tensor_proto))) for event in reader.Tensors(tag)]
        for tag in reader.Tags()["tensors"]
    }


def test_curves_are_read_back(tmp_path: Path) -> None:
    """Each figure is a curve over the step, under its own name."""
    tell_all(TensorBoardLogger(print), tmp_path)
    found = curves(tmp_path)
    assert found["step/loss"] == [(10, 1.0), (20, 1.0)]
    assert found["epoch/validation_accuracy"] == [(10, 32.0), (20, 32.0)]
    assert set(found) == {"step/loss", "step/lr"} | {f"epoch/{key}" for key in report(1).row() if key != "step"}


def test_resumed_run_has_one_curve(tmp_path: Path) -> None:
    """What a part that was killed logged of steps that are taken again does not show twice."""
    killed = TensorBoardLogger(print)
    killed.on_start(start(tmp_path))
    for step in (5, 10, 15):
        killed.on_step_logged(logged(step, 1.0))
    killed.on_end(end("failed"))
    resumed = TensorBoardLogger(print)
    resumed.on_start(start(tmp_path, 10))
    for step in (15, 20):
        resumed.on_step_logged(logged(step, 2.0))
    resumed.on_end(end())
    assert curves(tmp_path)["step/loss"] == [(5, 1.0), (10, 1.0), (15, 2.0), (20, 2.0)]


@pytest.mark.parametrize("missing", ["torch", "tensorflow"])
def test_neither_torch_nor_tensorflow_is_loaded(tmp_path: Path, missing: str) -> None:
    """The writer needs neither."""
    program = (
        "import sys; from pathlib import Path; "
        "from headrace.train.record.loggers.tensorboard import TensorBoardLogger; "
        "from tests.train.record.moments import tell_all; "
        "tell_all(TensorBoardLogger(print), Path(sys.argv[1])); sys.exit(sys.argv[2] in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path), missing], check=True)
