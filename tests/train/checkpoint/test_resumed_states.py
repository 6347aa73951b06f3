"""What a resumed run, or `headrace eval`, takes from a sound checkpoint, and from the recipe."""

from pathlib import Path

import pytest
import torch

from headrace.train.checkpoint import files, formats
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.evaluate import measure
from headrace.train.model.normalisation import Normalisation, normalisation_of
from headrace.train.run.request import Request
from headrace.train.run.resolve import resolve
from tests.train.saved_states import GONE, OPTIMIZERS, changed, refusal, resumed


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_sound_state_is_taken(sound: dict[str, bytes], tiny_set: Path, path: Path, optimizer: str) -> None:
    """An unchanged checkpoint of each optimizer is loaded, and so are all memory layouts and float64."""
    path.write_bytes(sound[optimizer])
    saved = files.load(path).state
    for settings in ((), ("runtime.layout=contiguous",), ("runtime.precision=fp64",)):
        step = resumed(tiny_set, path, *settings)
        found = {"model": step.network.state_dict(), "optimizer": step.optimizer.state_dict()["state"]}
        expected = {"model": saved["model"], "optimizer": saved["optimizer"]["state"]}
        torch.testing.assert_close(found, expected, rtol=0, atol=0, check_dtype=False, check_stride=False)


def test_normalisation_is_the_checkpoints(sound: dict[str, bytes], tiny_set: Path, path: Path) -> None:
    """A resumed run keeps its mean and std; format 1 has none, so the model's are used."""
    path.write_bytes(changed(sound["sgd"], ("mean",), lambda _: [1.0, 2.0, 3.0]))
    setup = resolve(Request(tiny_set, out=path.parent / "run", resume=str(path)), 1)
    assert setup.normalisation == Normalisation((1.0, 2.0, 3.0), normalisation_of("efficientnet-b0").std)
    state = {key: value for key, value in torch.load(path).items() if key in formats.FIELDS[1]}
    torch.save(state | {"format": 1}, path)
    setup = resolve(Request(tiny_set, out=path.parent / "run", resume=str(path)), 1)
    assert setup.normalisation == normalisation_of("efficientnet-b0")


def test_evaluation_is_as_the_checkpoint_says(sound: dict[str, bytes], tiny_set: Path, path: Path) -> None:
    """Size and crop come from the checkpoint, or else from the recipe; settings change both."""
    path.write_bytes(changed(sound["sgd"], ("size",), lambda _: 96))
    measured = measure.Measurement.of(Checkpoint.of(files.load(path)), tiny_set, ()).recipe.evaluate
    assert (measured.size, measured.crop) == (96, 1.0)
    measured = measure.Measurement.of(
        Checkpoint.of(files.load(path)), tiny_set, ("evaluate.size=32", "evaluate.crop=0.5")
    ).recipe.evaluate
    assert (measured.size, measured.crop) == (32, 0.5)
    path.write_bytes(changed(path.read_bytes(), ("size",), lambda _: GONE))
    path.write_bytes(changed(path.read_bytes(), ("recipe", "evaluate", "size"), lambda _: 128))
    saved = measure.Measurement.of(Checkpoint.of(files.load(path)), tiny_set, ())
    assert (saved.checkpoint.size, saved.recipe.evaluate.size) == (128, 128)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("model.name=efficientnet-b1", "model.name was efficientnet-b0, now efficientnet-b1"),
        ("optim.name=sgd", "optim.name was rmsprop, now sgd"),
        ("optim.momentum=0", "optim.momentum was 0.9, now 0"),
    ],
)
def test_other_states_than_the_recipes(
    sound: dict[str, bytes], tiny_set: Path, path: Path, setting: str, words: str
) -> None:
    """A setting whose states the checkpoint lacks is refused by name, even if the recipe may differ."""
    path.write_bytes(sound["rmsprop"])
    asked = Request(tiny_set, settings=(setting,), out=path.parent / "run", resume=str(path), override=("recipe",))
    assert words in refusal(lambda: resolve(asked, 1))
