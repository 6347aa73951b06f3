"""The number of processes changes nothing of what timm's networks learn, though they draw their noise themselves."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from headrace.train.checkpoint import files
from tests.ddp.conftest import SETTINGS, STEPS, Outcome
from tests.ddp.processes import run_ranks

pytestmark = pytest.mark.faults  # minutes

WORKER = "../extras/timm/train_worker.py"
NONE = "model.drop_connect=0"  # where a network takes no such rate
CALM = ("augment.size=64", "optim.lr=0.0001")  # others grow the last bit thirtyfold a step from random weights
ARCHITECTURES: dict[str, tuple[str, ...]] = {  # each with its settings; families differ but for the last two
    "resnet18": ("augment.size=32",),
    "convnext_atto": ("augment.size=32",),
    "test_vit": ("augment.size=model", "evaluate.size=model"),
    "mobilenetv4_conv_small": CALM,
    "tf_efficientnetv2_b0": CALM,
    "densenet121": ("augment.size=32", NONE),
    "regnetx_002": ("augment.size=32",),
    "ghostnet_100": (*CALM, NONE),
    "test_mambaout": ("augment.size=64",),
    "levit_128s": ("augment.size=model", "evaluate.size=model"),
    "test_byobnet": ("augment.size=64",),
    "test_resnet": ("augment.size=64",),
}
LONG = ("levit_128s",)  # 224 px in float64


@pytest.fixture(
    scope="module", params=[pytest.param(a, marks=[pytest.mark.faults] * (a in LONG)) for a in ARCHITECTURES]
)
def name(request: pytest.FixtureRequest) -> str:
    """An architecture."""
    found: str = request.param
    return found


Runs = Callable[[int], Outcome]


@pytest.fixture(scope="module")
def runs(name: str, tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Ten steps in float64 on any number of processes, each made once."""
    folder, made = tmp_path_factory.mktemp(name), dict[int, Outcome]()

    def run(size: int) -> Outcome:
        if size not in made:
            given = (*SETTINGS, f"model.name=timm/{name}", "evaluate.size=32", *ARCHITECTURES[name])
            run_ranks(WORKER, size, tiny_set, folder / str(size), *given)
            made[size] = Outcome(folder / str(size))
        return made[size]

    return run


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("size", [2, 3])
def test_weights_agree(runs: Runs, size: int) -> None:
    """Losses, images, weights, running statistics and their average are those of one process, to 1e-9."""
    alone, together = runs(1), runs(size)
    assert len(alone.losses) == STEPS
    assert together.losses == pytest.approx(alone.losses, abs=1e-9)
    assert together.pixels == alone.pixels
    for part in ("model", "average"):
        for key, value in alone.state[part].items():
            if value.is_floating_point():
                say = partial("{} {}: {}".format, part, key)
                torch.testing.assert_close(together.state[part][key], value, rtol=0, atol=1e-9, msg=say)


@pytest.mark.timeout(1200)
def test_resume_on_another_number_of_processes(runs: Runs, name: str, tiny_set: Path, tmp_path: Path) -> None:
    """Stopped by a signal on three processes and resumed on two: the losses of a run that was never stopped."""
    given = (*SETTINGS, f"model.name=timm/{name}", "evaluate.size=32", *ARCHITECTURES[name])
    run_ranks(WORKER, 3, tiny_set, tmp_path / "run", "--stop-after", "4", *given)
    done = files.newest(tmp_path / "run").stored.state["progress"]["step"]
    run_ranks(WORKER, 2, tiny_set, tmp_path / "run", "--resume", "last")
    assert 4 < done < STEPS
    assert Outcome(tmp_path / "run").losses == pytest.approx(runs(1).losses, abs=1e-9)


@pytest.mark.timeout(600)
def test_noise_is_there(runs: Runs, name: str, tiny_set: Path, tmp_path: Path) -> None:
    """The agreement means something: without noise the losses are others."""
    given = (*SETTINGS, f"model.name=timm/{name}", "evaluate.size=32", *ARCHITECTURES[name])
    run_ranks(WORKER, 1, tiny_set, tmp_path / "run", *given, "model.dropout=0", "model.drop_connect=0")
    assert Outcome(tmp_path / "run").losses != pytest.approx(runs(1).losses, abs=1e-9)
