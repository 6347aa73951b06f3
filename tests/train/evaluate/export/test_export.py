"""Exports that need no extra: the graph, its preprocessing, its model card, and refused requests."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from headrace.shards.errors import HeadraceError
from headrace.shards.shardset import ShardSet
from headrace.train.checkpoint import files
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.evaluate.export import writers
from headrace.train.evaluate.export.export import accuracy, export
from headrace.train.evaluate.export.facts import Facts
from headrace.train.evaluate.export.graph import Graph
from headrace.train.evaluate.export.writers import Written, preprocess_source
from headrace.train.evaluate.predict import Predictor
from headrace.train.machine.numerics import Numerics
from headrace.train.machine.place import Place
from headrace.train.machine.world import World
from tests.checkout import ROOT, SEARCH
from tests.e2e.commands import SMALL, headrace, here, refused
from tests.train.pictures import CPU, evaluated

CROP = 0.875


@pytest.fixture(scope="module")
def run(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a short run. The running statistics of its last batch make logits differ between images."""
    out = tmp_path_factory.mktemp("export") / "run"
    more = ("--set=model.batch_norm_momentum=1.0", f"--set=evaluate.crop={CROP}")
    result = headrace("train", tiny_set, "--out", out, *SMALL, *more)
    assert result.code == 0, result.stderr
    return out


@pytest.fixture(scope="module")
def saved(run: Path) -> Checkpoint:
    """Return the checkpoint of the run."""
    return Checkpoint.of(files.load(run))


@pytest.fixture(scope="module")
def exported(run: Path) -> tuple[Path, str]:
    """Return the network that the command wrote in torch's format, and the command's output."""
    result = here("export", run, run.parent / "pt2", "--format", "torch")
    assert result.code == 0, result.stderr
    return run.parent / "pt2", result.stdout


def pixels_of(shards: Path) -> torch.Tensor:
    """Return the validation images as Headrace decodes them."""
    return torch.from_numpy(evaluated(ShardSet.open(shards)["val"], size=32, fraction=CROP))


def test_graph_gives_the_logits_of_the_checkpoint(saved: Checkpoint, tiny_set: Path) -> None:
    """The exported graph, in plain operations, gives the predictor's logits."""
    predictor = Predictor.of(saved, Place(World(), CPU, 1), Numerics(), saved.recipe.evaluate, "auto")
    images = pixels_of(tiny_set)
    with torch.no_grad():
        found = Graph(saved)(images)
    assert len(set(found.argmax(1).tolist())) > 1
    torch.testing.assert_close(found, predictor.logits(images), rtol=1e-4, atol=1e-4)


def test_file_of_torch_is_the_network(exported: tuple[Path, str], saved: Checkpoint, tiny_set: Path) -> None:
    """The file takes any batch, gives the checkpoint's logits, describes itself, and needs no Headrace."""
    folder, printed = exported
    assert sorted(path.name for path in folder.iterdir()) == ["MODEL_CARD.md", "model.pt2", "preprocess.py"]
    assert "compared with the checkpoint on 120 images decoded by Pillow: logits differ by at most" in printed
    extra: dict[str, Any] = {"headrace.json": ""}
    module = torch.export.load(folder / "model.pt2", extra_files=extra).module()
    images = pixels_of(tiny_set)
    with torch.no_grad():
        expected = Graph(saved)(images)
        for count in (1, 3, 120):
            torch.testing.assert_close(module(images[:count]), expected[:count], rtol=1e-4, atol=1e-3)
    about = json.loads(extra["headrace.json"])
    assert (about["format"], about["classes"], about["size"]) == (1, list(saved.classes), 32)
    assert "logits" in about["output"]


def test_card_says_what_matters(exported: tuple[Path, str], saved: Checkpoint) -> None:
    """The card has digest, recipe, accuracy with the number of images, and licence, but nothing about the machine."""
    page = (exported[0] / "MODEL_CARD.md").read_text("utf-8")
    for words in (
        saved.shard_set,
        saved.sha256,
        "of 120 validation images",
        "Licence",
        "[optim]",
        (saved.class_names or ("",))[0],
    ):
        assert words in page
    assert "[runtime]" not in page
    assert str(exported[0].parent) not in page


def loaded(source: str, folder: Path) -> Any:
    """Import preprocess.py as a module."""
    path = folder / "preprocess_here.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("preprocess_here", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_preprocessing_is_ours_but_for_rounding(saved: Checkpoint, tiny_set: Path, tmp_path: Path) -> None:
    """Pillow's pixels differ from ours by a level or two for any shape, and turned images are upright."""
    source = preprocess_source(Facts.of(saved))
    assert len(source.splitlines()) <= 40
    module, ours = loaded(source, tmp_path), pixels_of(tiny_set).numpy()
    split = ShardSet.open(tiny_set)["val"]
    paths = []
    for row in range(len(split)):
        paths.append(tmp_path / f"{row}.jpg")
        paths[-1].write_bytes(split[row].jpeg)
    differences = np.abs(module.batch(paths).astype(int) - ours)
    assert differences.max() <= 4
    assert differences.mean() < 0.6
    with Image.open(paths[0]) as image:
        wide = image.resize((90, 51))
    exif = Image.Exif()
    exif[0x0112] = 6
    wide.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    wide.save(tmp_path / "plain.png")
    np.testing.assert_array_equal(module.pixels(tmp_path / "turned.png"), module.pixels(tmp_path / "plain.png"))
    wide.convert("RGBA").save(tmp_path / "rgba.png")
    np.testing.assert_array_equal(module.pixels(tmp_path / "rgba.png"), module.pixels(tmp_path / "plain.png"))
    Image.fromarray(np.full((40, 60), 40_000, np.uint16)).save(tmp_path / "deep.png")
    assert set(module.pixels(tmp_path / "deep.png").ravel().tolist()) == {40_000 >> 8}


def test_export_loads_no_input() -> None:
    """The command loads neither DALI nor the package `input`."""
    code = (
        "import sys, headrace.train.evaluate.export.export\n"
        "print([name for name in sys.modules if name.startswith(('nvidia.dali', 'headrace.train.input', 'numba'))])"
    )
    words, environment = [sys.executable, "-c", code], {"PYTHONPATH": SEARCH}
    seen = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert seen.stdout == "[]\n"


@pytest.mark.parametrize(("kind", "package"), [("timm", "safetensors.torch"), ("onnx", "onnxruntime")])
def test_missing_extra_is_named(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, package: str
) -> None:
    """The error is one line that says what to install, and no folder is left."""
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, package.partition(".")[0], None)
    refused(here("export", run, tmp_path / "out", "--format", kind), 2, "pip install 'headrace[export]'")
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_there_stays(run: Path, tmp_path: Path) -> None:
    """An existing OUT is refused before any work, and so is a folder of --check without images."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    refused(here("export", run, tmp_path / "out", "--format=torch"), 2, "exists already")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def off_by(change: float) -> Callable[..., Written]:
    """Return a writer whose network has another first logit than the checkpoint."""

    def write(graph: Graph, _: Facts, folder: Path) -> Written:
        (folder / "model").touch()

        def run(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
            with torch.no_grad():
                logits = graph(torch.from_numpy(pixels)).numpy().copy()
            logits[:, 0] += change
            found: np.ndarray[Any, np.dtype[np.float32]] = logits
            return found

        return run

    return write


def test_wrong_network_is_not_published(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network with other logits never appears; a difference within the bound is stated."""
    monkeypatch.setitem(writers.WRITERS, "torch", off_by(0.01))
    with pytest.raises(HeadraceError, match=r"logits differ by up to 1\.00e-02.*Nothing was written"):
        export(run, tmp_path / "out", "torch", None)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setitem(writers.WRITERS, "torch", off_by(0.0005))
    assert "differ by at most 5.0e-04" in "".join(export(run, tmp_path / "out", "torch", None))


def test_what_it_is_compared_on(run: Path, tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison uses the run's own set with labels by default, else a folder, or noise, which proves less."""
    monkeypatch.setitem(writers.WRITERS, "torch", off_by(0.0))
    assert "120 images decoded by Pillow" in "".join(export(run, tmp_path / "a", "torch", None))
    alone = tmp_path / "alone.pt"
    alone.write_bytes((run / "best.pt").read_bytes())
    lines = "".join(export(alone, tmp_path / "b", "torch", None))
    assert "25 images of noise" in lines
    assert "prove more than noise" in lines
    assert "prove more than noise" in (tmp_path / "b" / "MODEL_CARD.md").read_text("utf-8")
    (tmp_path / "images").mkdir()
    for row in range(3):
        (tmp_path / "images" / f"{row}.jpg").write_bytes(ShardSet.open(tiny_set)["val"][row].jpeg)
    assert "on 3 images" in "".join(export(alone, tmp_path / "c", "torch", tmp_path / "images"))
    refused(here("export", alone, tmp_path / "d", "--format=torch", "--check", tmp_path / "none"), 2, "--check")


def test_card_gives_no_accuracy_of_other_weights(saved: Checkpoint) -> None:
    """The best epoch's accuracy is given only if the checkpoint is from the end of that epoch."""
    progress = saved.progress
    assert accuracy(saved, None).startswith(f"{progress.best_accuracy:.2f}% of the validation images in epoch 1,")
    sums = progress.epoch_sums._replace(seen=24)
    for later in (replace(progress, epochs_done=2), replace(progress, epoch_sums=sums)):
        assert accuracy(replace(saved, progress=later), None).startswith(
            "not measured for these weights; the run's best"
        )
