from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import pytest
import torch
from torch import Tensor

from headrace.shards.errors import HeadraceError
from headrace.train.checkpoint import files
from headrace.train.checkpoint.restore import state_of
from headrace.train.input.batch import Batch, resident_batch
from headrace.train.machine.place import Place
from headrace.train.machine.signals import StopRequest
from headrace.train.model.build import Built
from headrace.train.model.normalisation import normalisation_of
from headrace.train.run.assemble import build_feed, build_numerics, build_step
from headrace.train.run.process import entered
from headrace.train.run.request import Request
from headrace.train.run.resolve import resolve
from headrace.train.run.training import carry_out
from headrace.train.step.compilation import compile_step
from headrace.train.step.compiled import GRAPHS, Compilable
from headrace.train.step.tally import LossRing, Tally
from headrace.train.step.update import TrainStep
from tests.train.networks import shallow

SETTINGS = (
    "train.epochs=1",
    "train.global_batch=24",
    "train.group=8",
    "model.drop_connect=0.2",
    "augment.sizes=[[0.0, 32], [0.5, 64]]",
    "runtime.device=cpu",
    "runtime.precision=fp64",
    "runtime.threads=1",
    "runtime.log_every=1",
)


class Fragile(Compilable):
    """A Compilable with a mode that fails at the first pass, as a missing compiler would."""

    error: Exception = RuntimeError("no kernel\nfor this device")

    def use(self, mode: str) -> None:
        """Use a mode, which may be "broken"."""
        super().use("off" if mode == "broken" else mode)
        if mode == "broken":
            self._call = partial(_fail, self.error)


def _fail(error: Exception, *_: object) -> Tensor:
    raise error


def step_of(shards: Path, out: Path, *settings: str, backend: str = "eager", pixels: bool = False) -> TrainStep:
    """Return the training step of a shallow network. The backend "eager" traces and guards without generating code."""
    setup = resolve(Request(shards, "demo", (*SETTINGS, *settings), out=out), 1)
    place = Place.find(setup.recipe.runtime)
    built = Built(shallow(), normalisation_of("efficientnet-b0"), "")
    step = build_step(setup, place, build_numerics(setup, place, built), built)
    step.compilable = step.model = Fragile(step.network, backend, normalise=step.normalise if pixels else None)
    return step


def residents(step: TrainStep, sizes: Sequence[int] = (32, 64)) -> list[Batch]:
    """Return a batch of each size that is already on the device."""
    return [resident_batch(8, size, step.accelerator) for size in sizes]


def outcome(
    shards: Path,
    out: Path,
    prepare: Callable[[TrainStep], None],
    first: int = 9,
    backend: str = "eager",
    *,
    pixels: bool = False,
) -> tuple[list[float], dict[str, Any]]:
    """Return losses of two steps on real batches and the states after them; step 10 has another size."""
    step = step_of(shards, out, backend=backend, pixels=pixels)
    prepare(step)
    setup = resolve(Request(shards, "demo", SETTINGS, out=out), 1)
    tally, losses = Tally(step.accelerator), LossRing(2, step.accelerator, first)
    with build_feed(setup, Place.find(setup.recipe.runtime), first) as feed:
        for number in (first, first + 1):
            step(number, feed, tally, losses)
    return [loss for _, loss in losses.read(step.world)], state_of(step)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """Whether names are equal, and values equal to 1e-9 in float64."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=0, atol=1e-9, msg=partial("{}: {}".format, name))


@pytest.mark.parametrize(
    ("first", "backend", "pixels"), [(9, "eager", False), (9, "eager", True), (0, "aot_eager", True)]
)
def test_compiled_step_is_the_step(tiny_set: Path, tmp_path: Path, first: int, backend: str, *, pixels: bool) -> None:
    """Two compiled steps of three micro-batches with noise give the plain step's losses, weights and statistics.

    The first two cases change their size; the second and third use uint8 images, which the graph normalises; the third
    runs all of torch.compile except the code generator.
    """
    plain_losses, plain = outcome(tiny_set, tmp_path, lambda _: None, first)
    losses, state = outcome(
        tiny_set, tmp_path, lambda step: step.compilable.use("default"), first, backend, pixels=pixels
    )
    assert losses == pytest.approx(plain_losses, abs=1e-9)
    same(plain["model"], state["model"])


def test_gradients_in_memory_of_their_own(tiny_set: Path, tmp_path: Path) -> None:
    """Gradients in their own memory, which CUDA graphs need, add up over several micro-batches as plain ones do."""
    kept: list[Tensor] = []

    def keep(step: TrainStep) -> None:
        step.compilable.mode = GRAPHS  # on a CPU torch records no graph, but all around it is the same
        for parameter in step.network.parameters():
            parameter.grad = torch.zeros_like(parameter)
            kept.append(parameter.grad)

    plain_losses, plain = outcome(tiny_set, tmp_path, lambda _: None)
    losses, state = outcome(tiny_set, tmp_path, keep)
    assert losses == pytest.approx(plain_losses, abs=1e-9)
    same(plain["model"], state["model"])
    assert not any(one.any() for one in kept)


@pytest.mark.parametrize("wanted", ["auto", "off"])
def test_nothing_is_compiled_unless_it_is_named(tiny_set: Path, tmp_path: Path, wanted: str) -> None:
    """The mode "auto" means off, and neither of them runs a pass."""
    step = step_of(tiny_set, tmp_path)
    step.compilable.forward = partial(_fail, RuntimeError())  # type: ignore[method-assign]
    assert str(compile_step(step, wanted, residents(step))) == "off"
    assert step.compilable.mode == "off"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("no kernel\nfor this device"), "no kernel"),
        (CalledProcessError(1, ["gcc", "cuda_utils.c"]), "cuda_utils"),  # Python.h is missing: from Triton as it is
        (FileNotFoundError(2, "No such file or directory", "gcc"), "gcc"),
    ],
)
def test_what_is_asked_for_by_name_must_work(tiny_set: Path, tmp_path: Path, error: Exception, words: str) -> None:
    """If the mode in the recipe fails, the run ends with advice, and the network is plain again."""
    step = step_of(tiny_set, tmp_path)
    step.compilable.error = error  # type: ignore[assignment]  # a Fragile one
    with pytest.raises(HeadraceError, match=rf"runtime.compile = broken failed: .*{words}.*Use runtime.compile=off"):
        compile_step(step, "broken", residents(step))
    assert step.compilable.mode == "off"
    assert str(compile_step(step, "default", residents(step, [32]))).startswith("default (")
    assert step.compilable.mode == "default"


def test_compiling_leaves_no_trace(tiny_set: Path, tmp_path: Path) -> None:
    """The passes that compile change neither weights nor statistics nor gradients."""
    step = step_of(tiny_set, tmp_path)
    before = {name: value.clone() for name, value in step.network.state_dict().items()}
    compile_step(step, "default", residents(step, [32]))
    assert all(torch.equal(before[name], value) for name, value in step.network.state_dict().items())
    assert not any(one.grad is not None and one.grad.any() for one in step.network.parameters())


def run(shards: Path, out: Path, compiled: str, resume: Path | None = None) -> list[Path]:
    """Run two epochs of five steps, or the second half of them; return the checkpoints in order."""
    wanted = (
        *SETTINGS,
        "runtime.verdict=false",
        "train.global_batch=96",
        "train.epochs=2",
        "augment.sizes=[[0.0, 32]]",
    )
    settings = (*(wanted if resume is None else ()), f"runtime.compile={compiled}")
    request = Request(shards, None if resume else "demo", settings, out=out, resume=str(resume) if resume else None)
    setup = resolve(request, 1)
    with StopRequest() as stop, entered(setup.recipe.runtime) as place:
        carry_out(setup, place, stop, Built(shallow(), normalisation_of("efficientnet-b0"), ""))
    return sorted((out / "checkpoints").iterdir())


@pytest.mark.parametrize(("first", "second"), [("default", "off"), ("off", "default")])
def test_runs_go_on_with_and_without_compiling(
    tiny_set: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    first: str,
    second: str,
) -> None:
    """A checkpoint of a compiled run has the plain names, and a plain and a compiled run can resume each other's."""
    monkeypatch.setattr(Compilable.__init__, "__defaults__", ("eager", "channels_last", None))
    half, whole = run(tiny_set, tmp_path / "first", first)
    assert list(files.load(half).state["model"]) == list(shallow().state_dict())
    (end,) = run(tiny_set, tmp_path / "second", second, half)
    same(files.load(whole).state["model"], files.load(end).state["model"])
    assert "channels_last, decode on cpu, compile default (" in capsys.readouterr().out
