from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
import torch

from headrace.train.checkpoint import files
from headrace.train.machine.device import Accelerator
from headrace.train.machine.numerics import Numerics
from headrace.train.machine.place import Place
from headrace.train.machine.signals import StopRequest
from headrace.train.run import assemble
from headrace.train.run.assemble import build_numerics, build_step
from headrace.train.run.process import entered
from headrace.train.run.request import Request
from headrace.train.run.resolve import Setup, resolve
from headrace.train.run.training import carry_out
from headrace.train.step.update import TrainStep
from tests.train.saved_states import SETTINGS, built, changed, refusal, resumed, save_one

AUTO = (
    "train.epochs=1",
    "train.global_batch=96",
    "train.group=32",
    "optim.warmup_epochs=0",
    "runtime.precision=auto",
    "runtime.verdict=false",
)
STEPS = 5  # an epoch


def setup_of(shards: Path, out: Path, *settings: str, resume: str | None = None) -> Setup:
    """Return a run whose precision is "auto"."""
    override = ("recipe",) if resume else ()
    asked = Request(shards, "demo", (*SETTINGS, *AUTO, *settings), out=out, resume=resume, override=override)
    return resolve(asked, 1)


def trained(setup: Setup) -> dict[str, Any]:
    """Train, and return the last checkpoint of the run."""
    with StopRequest() as stop, entered(setup.recipe.runtime) as place:
        carry_out(setup, place, stop, built())
    return files.load(setup.out / "last.pt").state


@pytest.fixture
def candidates(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the precisions that every device may choose from, which the test sets."""
    names: list[str] = []
    monkeypatch.setattr(Accelerator, "candidate_precisions", lambda _: names)
    return names


def test_fp16_by_choice_scales_its_loss(tiny_set: Path, tmp_path: Path, candidates: list[str]) -> None:
    """If fp16 is the device's choice, the run scales its loss, and has the same scale after a resume."""
    candidates.append("fp16")
    first = trained(setup_of(tiny_set, tmp_path / "run"))
    assert first["precision"] == "fp16"
    assert 1 <= first["scaler"]["_growth_tracker"] <= STEPS
    candidates[:] = ["fp32"]  # not asked again: the checkpoint says it
    second = trained(setup_of(tiny_set, tmp_path / "run", "train.epochs=2", resume="last"))
    assert second["precision"] == "fp16"
    assert second["scaler"]["scale"] <= first["scaler"]["scale"]
    assert second["scaler"]["_growth_tracker"] == first["scaler"]["_growth_tracker"] + STEPS


@pytest.mark.parametrize("name", ["fp16", "fp32"])
def test_momentum_begins_before_updates_that_may_be_skipped(tiny_set: Path, tmp_path: Path, name: str) -> None:
    """In fp16, and in no other precision, SGD's momentum is set to zero before the first update."""
    setup, first = setup_of(tiny_set, tmp_path, "optim.name=sgd"), built()
    step = build_step(setup, Place.find(setup.recipe.runtime), Numerics(name), first)
    kept = [quantities["momentum_buffer"] for quantities in step.optimizer.state.values()]
    assert len(kept) == (len(list(first.network.parameters())) if name == "fp16" else 0)
    assert not any(bool(one.any()) for one in kept)


@pytest.fixture(scope="module")
def fp32(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a checkpoint of a run in fp32."""
    return save_one(tiny_set, tmp_path_factory.mktemp("fp32") / "run").read_bytes()


def in_fp16(scaler: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a loss scale, with some values exchanged."""
    return {"scale": 8.0, "growth_factor": 9.0, "backoff_factor": 9.0, "growth_interval": 9, **scaler}


def test_resume_in_another_precision(tiny_set: Path, tmp_path: Path, fp32: bytes) -> None:
    """From fp32 to fp16 a loss scale begins; from fp16 to fp16 it is kept, with our rules; to fp32 it is dropped."""
    path = tmp_path / "given.pt"
    path.write_bytes(fp32)
    assert resumed(tiny_set, path, "runtime.precision=fp16").scaler.get_scale() == 2.0**16
    path.write_bytes(changed(fp32, ("scaler",), lambda _: in_fp16({"_growth_tracker": 7})))
    scaler = resumed(tiny_set, path, "runtime.precision=fp16").scaler
    assert (scaler.get_scale(), scaler.state_dict()["_growth_tracker"], scaler.get_growth_factor()) == (8.0, 7, 2.0)
    assert not resumed(tiny_set, path, "runtime.precision=fp32").scaler.is_enabled()


@pytest.mark.parametrize(
    "wrong",
    [
        *({"scale": value} for value in (0.0, -1.0, float("nan"), float("inf"), 3, "x" * 10**5, None, torch.ones(1))),
        *({"_growth_tracker": value} for value in (-1, 10**9, 1.5, True, "x", None, torch.tensor(1))),
    ],
    ids=lambda wrong: f"{next(iter(wrong))} {str(next(iter(wrong.values())))[:20]}",
)
def test_wrong_loss_scale_is_refused(tiny_set: Path, tmp_path: Path, fp32: bytes, wrong: dict[str, Any]) -> None:
    """An impossible loss scale gives one line that names its value."""
    path = tmp_path / "given.pt"
    path.write_bytes(changed(fp32, ("scaler",), lambda _: in_fp16({"_growth_tracker": 7, **wrong})))
    assert f"scaler.{next(iter(wrong))}" in refusal(lambda: resumed(tiny_set, path, "runtime.precision=fp16"))


def test_choice_is_timed_on_steps_that_are_thrown_away(
    tiny_set: Path, tmp_path: Path, candidates: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each candidate is timed on a step with a copy of the network; deterministic runs time nothing."""
    candidates += ["fp32", "bf16"]
    steps: list[TrainStep] = []

    def recorded(*given: Any) -> TrainStep:
        steps.append(build_step(*given))
        return steps[-1]

    monkeypatch.setattr(assemble, "build_step", recorded)
    setup, first = setup_of(tiny_set, tmp_path), built()
    place = Place.find(setup.recipe.runtime)
    before = {name: value.clone() for name, value in first.network.state_dict().items()}
    chosen = build_numerics(setup, place, first)
    assert chosen.precision in candidates
    assert [step.numerics.precision for step in steps] == candidates
    assert all(step.network is not first.network for step in steps)
    assert all(torch.equal(value, before[name]) for name, value in first.network.state_dict().items())
    assert all(parameter.grad is None for parameter in first.network.parameters())
    steps.clear()
    same_bits = setup_of(tiny_set, tmp_path, "runtime.deterministic=true")
    assert build_numerics(same_bits, place, first).precision == "fp32"
    assert not steps


def test_format_that_the_device_has_not(tiny_set: Path, tmp_path: Path, fp32: bytes) -> None:
    """A checkpoint in tf32 is refused on a CPU with the setting that helps, and is resumed with that setting."""
    path = tmp_path / "given.pt"
    path.write_bytes(changed(fp32, ("precision",), lambda _: "tf32"))
    said = refusal(lambda: resumed(tiny_set, path, "runtime.precision=auto"))
    assert "given.pt: the checkpoint was trained in tf32, which needs a GPU" in said
    assert resumed(tiny_set, path, "runtime.precision=fp32").numerics == Numerics("fp32", "cpu")


@pytest.mark.parametrize(
    ("name", "dtype", "master", "exact"),
    [
        ("fp32", torch.float32, torch.float32, True),
        ("tf32", torch.float32, torch.float32, False),
        ("bf16", torch.bfloat16, torch.float32, False),
        ("fp16", torch.float16, torch.float32, False),
        ("fp64", torch.float64, torch.float64, True),
    ],
)
def test_formats(name: str, dtype: torch.dtype, master: torch.dtype, exact: bool) -> None:
    """Each precision has its dtypes: only 16-bit formats use autocast, and only fp16 scales its loss."""
    numerics = Numerics(name)
    assert (numerics.dtype, numerics.master_dtype, numerics.exact) == (dtype, master, exact)
    assert numerics.scaler().is_enabled() == (name == "fp16")
    with numerics.autocast():
        assert torch.is_autocast_enabled("cpu") == (name in ("bf16", "fp16"))
        assert not torch.is_autocast_enabled("cpu") or torch.get_autocast_dtype("cpu") == dtype
    with pytest.raises(FrozenInstanceError):
        numerics.precision = "fp32"  # type: ignore[misc]
