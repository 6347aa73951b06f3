"""--on-bad skip: how many images it may leave out, when it stops, and what the summary says about them."""

import json
from pathlib import Path

import pytest

from headrace.prep.command.options import Options
from headrace.prep.convert import Result, prep
from headrace.prep.make import shard
from headrace.prep.make.planned import Job
from headrace.prep.make.record import Record
from headrace.prep.make.shard import Tick, Work
from headrace.prep.summary import summary
from headrace.shards.errors import DataError, UsageError
from tests.prep.contents import Contents, as_folder
from tests.prep.damage import tree
from tests.prep.odd_trees import saved

JPEG = next(iter(tree().values()))


def files(good: int, bad: int) -> Contents:
    """Sound and bad images of two classes, in these numbers; all bad images are in one class."""
    found = {f"ant/{k:04}.jpg": JPEG for k in range(good // 2)} | {f"cat/{k:04}.jpg": JPEG for k in range(good // 2)}
    return found | {f"cat/bad{k:04}.jpg": b"junk" for k in range(bad)}


def made(source: Path, out: Path, workers: int = 1, **options: object) -> Result:
    """The set in shards of 20 samples, with bad images left out."""
    chosen = Options(val_fraction=0, on_bad="skip", samples_per_shard=20, **options)  # type: ignore[arg-type]
    return prep(source, out, chosen, workers=workers, if_exists="reuse", say=lambda _: None)


@pytest.mark.parametrize(
    ("asked", "images", "most"),
    [(None, 100, 10), (None, 5000, 50), (0, 100, 0), ("7", 100, 7), ("5%", 110, 5), ("100%", 3, 3), ("0.5%", 1000, 5)],
)
def test_bound(asked: str | int | None, images: int, most: int) -> None:
    """The limit is 1 %, or 10 images if that is more, unless a number or a share is given."""
    assert Options(max_bad=asked).most_bad(images) == most


@pytest.mark.parametrize("asked", ["x", "-1", "101%", "5%%", "nan%", "1.5", ""])
def test_senseless_bounds_are_refused(asked: str) -> None:
    """The error says which values are possible."""
    with pytest.raises(UsageError, match=r"--max-bad .*: a number of images, or a share such as 5%"):
        Options(max_bad=asked)


@pytest.mark.parametrize("workers", [1, 2])
def test_too_many_bad_images_end_the_run(workers: int, tmp_path: Path) -> None:
    """The default limit passes ten bad images of 110 but not eleven; a larger one passes, with counts by class."""
    made(as_folder(files(100, 10), tmp_path / "ten"), tmp_path / "ten.out", workers)
    source = as_folder(files(100, 11), tmp_path / "in")
    with pytest.raises(DataError, match=r"11 of 111 images do not decode, more than the 10 .*cat/bad.*--max-bad"):
        made(source, tmp_path / "out", workers)
    assert not (tmp_path / "out").exists()
    result = made(source, tmp_path / "out", workers, max_bad=11)
    assert "  11 of 111 images omitted because they do not decode: cat 11" in summary(result, tmp_path / "out")
    assert made(source, tmp_path / "out", max_bad="50%").reused


def test_stops_as_soon_as_it_is_certain_and_keeps_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run stops early; with a larger limit the same command makes only the missing shards, with equal bytes."""
    source = as_folder(files(300, 60), tmp_path / "in")
    begun: list[str] = []

    def make_shard(job: Job, work: Work, tick: Tick) -> Record:
        begun.append(job.name)
        return shard.make_shard(job, work, tick)

    monkeypatch.setattr("headrace.prep.make.engines.pool.make_shard", make_shard)
    with pytest.raises(DataError, match="do not decode, more than the 20"):
        made(source, tmp_path / "out", max_bad=20)
    stopped = len(begun)
    assert 1 < stopped < 12
    made(source, tmp_path / "out", max_bad=60)
    assert len(begun) == 18 + 1
    made(source, tmp_path / "whole", max_bad="100%")
    digests = [json.loads((tmp_path / name / "shardset.json").read_text())["digest"] for name in ("out", "whole")]
    assert digests[0] == digests[1]


def test_bad_images_of_finished_shards_count_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resumed run stops before it makes a shard if the bad images found already exceed the limit."""
    source = as_folder(files(300, 60), tmp_path / "in")
    with pytest.raises(DataError):
        made(source, tmp_path / "out", max_bad=30)
    monkeypatch.setattr("headrace.prep.make.engines.pool.make_shard", None)
    with pytest.raises(DataError, match="more than the 3 "):
        made(source, tmp_path / "out", max_bad=3)


def test_summary_says_what_was_converted_and_why(tmp_path: Path) -> None:
    """Conversions are counted by kind, without a line for each size."""
    pictures = {f"ant/{k}.{form.lower()}": saved(form) for k in range(3) for form in ("PNG", "WEBP")}
    result = made(as_folder(pictures | {"bee/1.jpg": JPEG, "bee/2.jpg": JPEG}, tmp_path / "in"), tmp_path / "out")
    assert result.tally.converted == {"PNG converted to RGB JPEG": 3, "WEBP converted to RGB JPEG": 3}
    assert "  3 images: PNG converted to RGB JPEG" in summary(result, tmp_path / "out")
    smaller = made(tmp_path / "in", tmp_path / "small", max_side=7)
    assert smaller.tally.converted["JPEG converted to RGB JPEG, made smaller"] == 2


def test_other_words_for_bad_images_are_refused() -> None:
    """Options checks on_bad, since nothing else does when prep is called as a function."""
    with pytest.raises(UsageError, match="--on-bad Skip: one of error, skip is needed"):
        Options(on_bad="Skip")
