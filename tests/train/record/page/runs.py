"""Run folders as runs leave them, with any number of epochs and classes, and any names."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from headrace.train.recipe.recipe import load_recipe
from headrace.train.record.about import About
from headrace.train.record.epoch import EpochReport, Reading
from headrace.train.record.folder import RunLog
from headrace.train.record.moments import End, Saved, StepLogged
from headrace.train.record.page import pictures
from headrace.train.record.page.pictures import Captioned, SeenImages, write_training
from headrace.train.record.predictions import NAME, Origin, Predictions
from headrace.train.record.sums import Sums

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</style></title><b>&amp;",
    "{{ 7 * 7 }}{% raw %}",
    "right\u202eleft\x1b[31m",
    "javascript:alert(3)",
)
"""Names of classes that would do harm where they are not escaped."""


def drawn_run(
    folder: Path, *, epochs: int = 3, names: Sequence[str] = ("cat", "dog", "eel"), samples: int = 60, seed: int = 0
) -> Path:
    """Return the folder of a finished run of the recipe demo, with 20 updates per epoch."""
    draw = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    log = RunLog(folder)
    log.say_warning("only few updates <b>")
    log.began(0, 4.0, 0.5)
    for epoch in range(1, epochs + 1):
        loss, step = 3.0 / epoch**0.5 + 0.1 * draw.random(), 20 * epoch
        for part in (10, 20):
            log.step(StepLogged(step - 20 + part, (loss, loss), 0.1 / epoch, Reading(part / 2, 0.1)))
        log.saved(Saved(step, folder / "a.pt", "0" * 64, 1000, 0.25, best=True))
        accuracy = min(95, 30 + epoch // 4)
        sums = (Sums(1000 * loss, 10 * accuracy, 1000), Sums(90 * loss, accuracy, 100))
        log.epoch(EpochReport(epoch, epochs, step, *sums, 12.0, Reading(10.0, 0.5 * draw.random()), 0.1 / epoch))
        log.memory(step, 800 << 20, {})
    log.ended(End("finished", 20 * epochs, epochs, 50.0, epochs))
    ids = tuple(f"n{number:08d}" for number in range(len(names)))
    About(
        "demo", ("train.epochs=3",), "efficientnet-b0", "5" * 64, 1000, samples, epochs, 20 * epochs, ids, tuple(names)
    ).write(folder)
    recipe = load_recipe("demo", [f"train.epochs={max(3, epochs)}", "optim.lr=0.25"])
    (folder / "recipe.toml").write_text(recipe.toml(), "utf-8")
    (folder / "environment.json").write_text(json.dumps({"versions": {"torch": "2.13"}, "device": "cpu", "cores": 2}))
    guesses(ids, names, samples, draw).write(folder / NAME)
    noise = draw.integers(0, 256, (pictures.MOST, 96, 96, 3), np.uint8)
    seen = SeenImages(0, noise, np.arange(pictures.MOST) % len(names), None, 1.0)
    write_training(folder, seen, names)
    shown = pictures.read(folder, pictures.TRAINING)[1]
    mistakes = [Captioned(one.jpeg, (f"{one.lines[0]}, 90%", "is another", "key-7")) for one in shown]
    pictures._write(folder, pictures.MISTAKES, mistakes, checkpoint="c" * 64)
    return folder


def guesses(ids: Sequence[str], names: Sequence[str], samples: int, draw: np.random.Generator) -> Predictions:
    """Return predictions of which about half are right."""
    classes = len(names)
    top = min(5, classes)
    labels = np.arange(samples) % classes
    first = np.where(draw.random(samples) < 0.5, labels, draw.integers(0, classes, samples))
    order = (first[:, None] + np.arange(top)) % classes
    chances = np.sort(draw.random((samples, top)).astype(np.float32) / top, 1)[:, ::-1]
    keys = [f"{number:09d}" for number in range(samples)]
    origin = Origin("val", "5" * 64, "c" * 64, 60, False, tuple(ids), tuple(names))
    return Predictions(
        origin, np.arange(samples), keys, labels, draw.random(samples), order, np.ascontiguousarray(chances)
    )
