"""Parts that run at once, are killed, or find the set published give the bytes of one process and leave nothing."""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from headrace.prep.command.options import Options
from headrace.prep.make import shard
from headrace.prep.make.room import Room
from headrace.shards import idx
from headrace.shards.errors import HeadraceError
from tests.prep.contents import as_folder, small
from tests.prep.test_commands import run, start
from tests.prep.test_convert import contents, make
from tests.prep.test_parts import part, watch_shards


def test_killed_parts_are_given_again(tiny_zip: Path, tmp_path: Path) -> None:
    """Parts killed at random moments, some running twice, finally all end with 0 and the same bytes."""
    chance, options = random.Random(5), ["--samples-per-shard", 5, "--workers", 2]
    assert run("prep", tiny_zip, tmp_path / "whole", *options).returncode == 0
    words = ["prep", tiny_zip, tmp_path / "out", *options]
    for number in chance.sample(range(1, 5), 4):
        process = start(*words, "--part", f"{number}/4")
        time.sleep(chance.uniform(0.3, 1.2))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    ended = [start(*words, "--part", f"{number}/4") for number in (1, 2, 3, 4, 4)]
    assert [process.wait(timeout=120) for process in ended] == [0] * 5
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert "continuing an interrupted run: 120 of 120 shards are done" in done.stdout
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_the_set_is_published_while_a_part_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part ends well, and what it made too late is left nowhere."""
    source = as_folder(small(), tmp_path / "in")
    make(source, tmp_path / "whole")
    published: list[bool] = []

    def publish() -> None:
        if not published:
            published.append(True)
            make(source, tmp_path / "out")

    watch_shards(monkeypatch, publish)
    (said,) = [line for line in part(source, tmp_path / "out", 2) if "waiting" not in line]
    assert "there is nothing to do" in said
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out", "whole"]


@pytest.mark.parametrize("moment", ["idx.sample_line", "idx.render", "save_record"])
def test_the_set_is_published_in_the_middle_of_a_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A part that finds the set published before its tar, index or record ends well and adds nothing."""
    source = as_folder(small(), tmp_path / "in")
    make(source, tmp_path / "whole")
    inside, name = (idx, moment.removeprefix("idx.")) if moment.startswith("idx.") else (shard, moment)
    real = getattr(inside, name)

    def publishing(*given: object) -> object:
        with monkeypatch.context() as patch:
            patch.setattr(inside, name, real)
            if not (tmp_path / "out").exists():
                make(source, tmp_path / "out")
        return real(*given)

    monkeypatch.setattr(inside, name, publishing)
    assert "there is nothing to do" in part(source, tmp_path / "out", 2)[-1]
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out", "whole"]


def test_a_late_part_does_no_harm_to_another_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If its work folder was removed and a set with other options made, the part fails and that set is right."""
    source = as_folder(small(), tmp_path / "in")
    options = Options(samples_per_shard=4, seed=9)
    make(source, tmp_path / "whole", options)
    began: list[bool] = []

    def begin_anew() -> None:
        if not began:
            began.append(True)
            shutil.rmtree(Room(tmp_path / "out").folder)
            part(source, tmp_path / "out", 1, options=options)

    watch_shards(monkeypatch, begin_anew)
    with pytest.raises(HeadraceError, match=r"No such file or directory|plan is missing or damaged"):
        part(source, tmp_path / "out", 2)
    make(source, tmp_path / "out", options)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_parts_at_once_make_one_plan(tiny_zip: Path, tmp_path: Path) -> None:
    """Four parts that begin together all end with 0, and together they make all shards."""
    words = ["prep", tiny_zip, tmp_path / "out", "--samples-per-shard", 50, "--workers", 1]
    ended = [start(*words, "--part", f"{number}/4") for number in range(1, 5)]
    assert [process.wait(timeout=120) for process in ended] == [0] * 4
    assert len(list(tmp_path.glob(".out.partial/*.plan"))) == 1
    assert "continuing an interrupted run: 13 of 13 shards are done" in run(*words).stdout
