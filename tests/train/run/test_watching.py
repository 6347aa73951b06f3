from pathlib import Path

import numpy as np
import pytest

from headrace.shards.manifest import TRAIN
from headrace.shards.shardset import ShardSet
from headrace.train.input.assembly import Input
from headrace.train.machine.numerics import Numerics
from headrace.train.machine.place import Place
from headrace.train.machine.world import World
from headrace.train.record.folder import RunLog
from headrace.train.record.page import pictures
from headrace.train.run.assemble import build_plans, build_step
from headrace.train.run.request import Request
from headrace.train.run.resolve import Setup, resolve
from headrace.train.run.watching import seen_images, watched
from headrace.train.step.update import TrainStep
from tests.train.networks import built_narrow
from tests.train.pictures import CPU

BASE = ("train.global_batch=48", "train.group=24", "augment.size=32", "evaluate.size=32", "runtime.precision=fp32")
PLACE = Place(World(), CPU, 1)


def parts(shards: Path, out: Path, *settings: str) -> tuple[Setup, TrainStep]:
    """Return a resolved request and its step."""
    setup = resolve(Request(shards, "demo", (*BASE, *settings), out=out), 1)
    return setup, build_step(setup, PLACE, Numerics(), built_narrow(12, 0))


def test_images_are_those_that_enter_the_network(tiny_set: Path, tmp_path: Path) -> None:
    """The pictures equal the augmented pixels bit for bit."""
    setup, step = parts(tiny_set, tmp_path / "run")
    plan = build_plans(setup).plan(7, 1)
    with Input(ShardSet.open(tiny_set)[TRAIN], 24, PLACE).feed(iter([plan])) as feed:
        (batch,) = feed
    seen = seen_images(batch, step, setup.normalisation)
    assert (seen.step, seen.partners) == (7, None)
    assert np.array_equal(seen.pixels, batch.images.numpy()[: pictures.MOST])
    assert np.array_equal(seen.labels, plan.labels[: pictures.MOST])


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixed_images_are_shown_mixed(tiny_set: Path, tmp_path: Path, kind: str) -> None:
    """Pictures are mixed as in training, with the share of each; the batch does not change."""
    setup, step = parts(tiny_set, tmp_path / "run", f"augment.{kind}=1.0")
    plan = build_plans(setup).plan(3, 0)
    with Input(ShardSet.open(tiny_set)[TRAIN], 24, PLACE).feed(iter([plan])) as feed:
        (batch,) = feed
    before = batch.images.clone()
    seen = seen_images(batch, step, setup.normalisation)
    assert bool((batch.images == before).all())
    assert plan.mix is not None
    assert (seen.share, seen.partners is not None) == (plan.mix.share, True)
    own, other = before.numpy().astype(float), before.numpy()[plan.mix.partner].astype(float)
    own, other = own[: pictures.MOST], other[: pictures.MOST]
    blended = plan.mix.share * own + (1 - plan.mix.share) * other
    shown = seen.pixels.astype(float)
    if kind == "mixup":
        assert abs(shown - blended).max() <= 0.51
    else:
        assert ((shown == own) | (shown == other)).all()
        assert not (shown == own).all()


def test_batches_pass_as_they_are(tiny_set: Path, tmp_path: Path) -> None:
    """Watching takes no batch away, and stores pictures only of the first."""
    setup, step = parts(tiny_set, tmp_path)
    plans = build_plans(setup)
    with Input(ShardSet.open(tiny_set)[TRAIN], 24, PLACE).feed(iter([plans.plan(s, 0) for s in (4, 5)])) as feed:
        assert [batch.plan.step for batch in watched(feed, setup, step, RunLog(tmp_path))] == [4, 5]
    about, shown = pictures.read(tmp_path, pictures.TRAINING)
    assert (about, len(shown)) == ({"step": 4}, pictures.MOST)


def test_pictures_that_cannot_be_written_are_a_warning(
    tiny_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run continues with a warning."""
    setup, step = parts(tiny_set, tmp_path)
    (tmp_path / pictures.FOLDER).write_text("a file in the way")
    plans = build_plans(setup)
    with Input(ShardSet.open(tiny_set)[TRAIN], 24, PLACE).feed(iter([plans.plan(4, 0)])) as feed:
        assert len(list(watched(feed, setup, step, RunLog(tmp_path)))) == 1
    assert capsys.readouterr().out.startswith("warning: the pictures of training images could not be made: ")
