"""An append killed at any moment leaves the old set whole, and readers that have the old set open continue."""

import os
import random
import signal
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from headrace.prep.command.options import Options
from headrace.prep.verify import check
from headrace.shards import store, tars
from headrace.shards.manifest import load
from headrace.shards.shardset import ShardSet
from headrace.train.record.callback import Callback
from headrace.train.record.epoch import EpochReport
from headrace.train.run.library import fit
from tests.e2e.test_callbacks import SETTINGS
from tests.prep.contents import as_folder, more_of_the_demo, small
from tests.prep.damage import tree
from tests.prep.growing import add
from tests.prep.test_commands import run, start
from tests.prep.test_convert import Stop, contents, make, quiet

MORE = ("--append", "--samples-per-shard=6", "--val-fraction=0.2", "--workers=2", "--seed=3")


@pytest.fixture
def more(tmp_path: Path) -> Path:
    """240 more images of the classes of `tiny_zip`."""
    return more_of_the_demo(tmp_path / "more", 1, 20)


def killed(tiny_zip: Path, more: Path, tmp_path: Path, times: int) -> None:
    """Kill an append at random moments, and check that the set is exactly the old or the new one."""
    chance, out = random.Random(11), tmp_path / "out"
    make(tiny_zip, out)
    make(tiny_zip, tmp_path / "whole")
    before, began = contents(out), time.monotonic()
    assert run("prep", more, tmp_path / "whole", *MORE).returncode == 0
    seconds, after = time.monotonic() - began, contents(tmp_path / "whole")
    seen = set[bool]()
    for number in count():
        if number >= times:
            if False in seen:
                break
            seconds /= 2  # every append ended before it was killed: the one that was timed was slow
        process = start("prep", more, out, *MORE)
        time.sleep(chance.uniform(0.3, 1.0) * seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        store.recover(out)
        now = contents(out)
        assert now in (before, after)
        seen.add(now == after)
        if now == after:
            make(tiny_zip, tmp_path / "again")
            store.publish(tmp_path / "again", out)
    done = run("prep", more, out, *MORE)
    assert done.returncode == 0, done.stderr
    assert contents(out) == after
    assert {path.name for path in tmp_path.iterdir()} <= {"more", "out", "whole"}


def test_killed_at_random_moments(tiny_zip: Path, more: Path, tmp_path: Path) -> None:
    """The check runs a few times."""
    killed(tiny_zip, more, tmp_path, 3)


@pytest.mark.faults
def test_killed_twenty_times(tiny_zip: Path, more: Path, tmp_path: Path) -> None:
    """The check runs twenty times."""
    killed(tiny_zip, more, tmp_path, 20)


def dying(real: Callable[..., object], after: int) -> Callable[..., object]:
    """A function that ends the run at the given call."""
    calls: list[None] = []

    def call(*given: object) -> object:
        if len(calls) == after:
            raise Stop
        calls.append(None)
        return real(*given)

    return call


@pytest.mark.parametrize(
    ("inside", "name", "after"), [(store, "link", 0), (store, "link", 3), (store, "publish", 0), (store, "discard", 3)]
)
def test_end_at_each_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: object, name: str, after: int
) -> None:
    """An end between links, before or after the exchange leaves one whole set; the same command then ends well."""
    as_folder(small(), tmp_path / "a")
    jpegs = list(tree().values())
    source = as_folder({f"train/n01/{number}.jpg": jpegs[number] for number in range(6)}, tmp_path / "b")
    options = Options(samples_per_shard=4, val_fraction=0)
    for out in ("out", "whole"):
        make(tmp_path / "a", tmp_path / out)
    before = contents(tmp_path / "out")
    add(source, tmp_path / "whole", options)
    with monkeypatch.context() as patch:
        patch.setattr(inside, name, dying(getattr(inside, name), after))
        with pytest.raises(Stop):
            add(source, tmp_path / "out", options)
    assert contents(tmp_path / "out") in (before, contents(tmp_path / "whole"))
    add(source, tmp_path / "out", options)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert "sound" in check(tmp_path / "out", deep=True, say=quiet)


def test_base_changes_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that a killed append did for an earlier state of the set is not used for a later state."""
    jpegs = list(tree().values())
    for number, name in enumerate("abc"):
        as_folder({f"ant/{name}{k}.jpg": jpegs[3 * number + k] for k in range(3)}, tmp_path / name)
    options = Options(val_fraction=0, samples_per_shard=2)
    make(tmp_path / "a", tmp_path / "out", options)
    make(tmp_path / "a", tmp_path / "whole", options)
    with monkeypatch.context() as patch:
        patch.setattr(store, "publish", dying(store.publish, 0))
        with pytest.raises(Stop):
            add(tmp_path / "b", tmp_path / "out", options)
    for source in "cb":
        add(tmp_path / source, tmp_path / "out", options)
        add(tmp_path / source, tmp_path / "whole", options)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c", "out", "whole"]


@pytest.mark.parametrize("lazily", [False, True])
def test_readers_of_the_old_set_go_on(
    tiny_zip: Path, more: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lazily: bool
) -> None:
    """After two appends a reader still gets the old images, keys and paths, even from tars not open before."""
    out = tmp_path / "out"
    make(tiny_zip, out, Options(samples_per_shard=60))
    expected = ShardSet.open(out).split("train")
    ids = np.arange(len(expected))
    wanted = [one.tobytes() for one in expected.jpegs(ids)], list(expected.keys), list(expected.sources)
    if lazily:
        monkeypatch.setattr(tars, "may_be_open", lambda _: False)
    split = ShardSet.open(out).split("train")
    opened = ShardSet.open(out)
    split.jpegs(ids[:70])
    another = as_folder({"n90000000/x.jpg": next(iter(tree().values()))}, tmp_path / "x")
    for source in (more, another):
        assert add(source, out, Options(val_fraction=0.2 if source == more else 0)).added
    for old in (split, opened.split("train")):
        assert ([one.tobytes() for one in old.jpegs(ids)], list(old.keys), list(old.sources)) == wanted
    assert len(load(out).parts) == 3


@pytest.mark.faults
def test_training_goes_on(tiny_zip: Path, more: Path, tmp_path: Path) -> None:
    """A run has the same losses whether or not images are appended to its set after the first epoch."""
    for name in ("out", "alone"):
        make(tiny_zip, tmp_path / name, Options(samples_per_shard=60))

    class Appending(Callback):
        def on_epoch(self, report: EpochReport) -> None:
            """Append once."""
            if report.step and len(load(tmp_path / "out").parts) == 1:
                add(more, tmp_path / "out", Options(val_fraction=0.2))

    fit(tmp_path / "alone", "demo", out=tmp_path / "run-alone", settings=SETTINGS, quiet=True)
    fit(tmp_path / "out", "demo", out=tmp_path / "run", settings=SETTINGS, callbacks=[Appending()], quiet=True)
    assert len(load(tmp_path / "out").parts) == 2
    rows = [
        [row.split(",")[:6] for row in (tmp_path / run / "epochs.csv").read_text().splitlines()]
        for run in ("run", "run-alone")
    ]
    assert rows[0] == rows[1]
