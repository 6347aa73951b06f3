import os
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import Timer

import numpy as np
import pytest

from headrace.shards.errors import DataError, UsageError
from headrace.shards.shardset import ShardSet, Split
from headrace.train.input.decode import cache, cache_fill
from headrace.train.input.decode.cache import HEADER, CacheFile, plan_caches
from headrace.train.input.decode.cache_fill import open_caches
from headrace.train.input.decode.cached import Decoded
from headrace.train.input.decode.gpu import OnGpu
from headrace.train.input.decode.pipeline import ImagePipeline
from headrace.train.input.decode.regions import Regions
from headrace.train.input.plans import Plan, ValidationPlans
from headrace.train.machine import capacity
from headrace.train.machine.world import World
from headrace.train.recipe.recipe import load_recipe
from tests.checkout import SEARCH
from tests.faults.test_disk import mounted
from tests.train import pictures
from tests.train.pictures import CPU, Pixels, by_sample, picture, pipeline, split_of, training

IMAGE = 64 * 64 * 3


def made(shards: ShardSet, folder: Path, *names: str, said: list[str] | None = None) -> dict[str, Decoded]:
    """The caches of these splits on one process."""
    files, _ = plan_caches(shards, names or ("train",), folder)
    return open_caches(shards, files, World(), 2, (said if said is not None else []).append)


def cached(split: Split, pixels: Decoded) -> ImagePipeline[Plan]:
    """A pipeline that reads decoded pixels."""
    return ImagePipeline(split, 16, CPU, threads=1, decode="cpu", decoded=pixels)


def test_pixels_are_the_same(tiny_set: Path, tmp_path: Path) -> None:
    """Training batches from the cache are those without it: same samples, same order, same bits, plain and mirrored."""
    shards = ShardSet.open(tiny_set)
    split, pixels = shards.split("train"), made(shards, tmp_path)["train"]
    plans, mirrored = training(split), []
    for (plan, image), (other, again) in zip(
        pipeline(split).run(plans.stream(0, 20, range(3))),
        cached(split, pixels).run(plans.stream(0, 20, range(3))),
        strict=True,
    ):
        assert (plan.step, plan.group, plan.ids.tolist()) == (other.step, other.group, other.ids.tolist())
        assert (image == again).all()
        mirrored.append((plan.wanted.views.start[:, 1] > plan.wanted.views.end[:, 1]).mean())
    assert 0.3 < np.mean(mirrored) < 0.7


def test_images_of_any_shape(tmp_path: Path) -> None:
    """Images of different shapes, one turned by EXIF, are the same pixels from the cache, cropped or whole."""
    shapes = [(64, 64), (200, 50), (33, 120), (7, 5), (101, 99)]
    jpegs = [picture(*shape) for shape in shapes] + [picture(150, 100, exif=pictures.exif(6))]
    split = split_of(jpegs, tmp_path)
    pixels = made(ShardSet.open(tmp_path / "set"), tmp_path / "cache")["train"]
    plans = training(split, batch=6, group=6, size=96)
    plain = by_sample(pipeline(split), plans.stream(0, 9, range(1)))
    again = by_sample(cached(split, pixels), plans.stream(0, 9, range(1)))
    assert len(plain) == 54
    assert all((plain[key] == again[key]).all() for key in plain)
    centre = ValidationPlans(split, 6, 0.875, 32)
    ((_, one),) = pipeline(split).run(centre.stream(range(1)))
    ((_, other),) = cached(split, pixels).run(centre.stream(range(1)))
    assert (one == other).all()


def graph_for_gpus(split: Split, batch: int, decoded: Decoded | None) -> OnGpu[Plan]:
    """The way of GPUs, gone on the CPU."""
    return OnGpu(split, batch, CPU, threads=1, decode="cpu", decoded=decoded)


def test_the_way_of_gpus_shows_the_same(tmp_path: Path) -> None:
    """There, too, the cache holds what would be decoded; gone on the CPU here."""
    shapes = [(64, 64), (200, 50), (33, 120), (7, 5), (101, 99)]
    split = split_of([picture(*shape) for shape in shapes], tmp_path)
    pixels = made(ShardSet.open(tmp_path / "set"), tmp_path / "cache")["train"]
    plans = training(split, batch=5, group=5, size=48)
    plain, again = (
        [images.numpy().copy() for _, images in way.run(plans.stream(0, 9, range(1)))]
        for way in (graph_for_gpus(split, 5, cache) for cache in (None, pixels))
    )
    assert len(plain) == 9
    assert (np.array(plain) == np.array(again)).all()


def test_second_run_reuses_the_cache(tiny_set: Path, tmp_path: Path) -> None:
    """The first run makes both files and says how large they are, the second one leaves them as they are."""
    shards, said = ShardSet.open(tiny_set), list[str]()
    made(shards, tmp_path, "train", "val", said=said)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert sorted(name.partition("-")[0] for name in before) == ["train", "val"]
    made(shards, tmp_path, "train", "val", said=said)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert "480 decoded images, 5.9 MB, made in " in said[0]
    assert [line.rpartition(", ")[2] for line in said[2:]] == ["reused", "reused"]


def test_lies_beside_the_shard_set(tiny_set: Path) -> None:
    """Without a folder of its own the cache is the shard set's neighbour."""
    file = CacheFile.of(ShardSet.open(tiny_set), "val", None)
    assert file.path.parent == tiny_set.parent / "set.decoded"


def cut(path: Path) -> None:
    """Lose the last image."""
    os.truncate(path, path.stat().st_size - IMAGE)


def lengthen(path: Path) -> None:
    """Gain a byte."""
    with path.open("ab") as stream:
        stream.write(b"\0")


def of_another_version(path: Path) -> None:
    """Be a cache without checksums, as they once were."""
    with path.open("r+b") as stream:
        stream.write(path.read_bytes()[:100].replace(b"cache 2\n", b"cache 1\n"))


@pytest.mark.parametrize("harm", [cut, lengthen, of_another_version], ids=lambda harm: harm.__name__)
def test_harmed_cache_is_refused_and_made_again(tiny_set: Path, tmp_path: Path, harm: object) -> None:
    """A file of another size or key is never read: opening it is an error, and the next run makes it again."""
    shards = ShardSet.open(tiny_set)
    made(shards, tmp_path)
    file = CacheFile.of(shards, "train", tmp_path)
    sound = file.path.read_bytes()
    harm(file.path)  # type: ignore[operator]
    with pytest.raises(DataError, match="Start again: the next run makes it again"):
        Decoded(file, shards)
    made(shards, tmp_path)
    assert file.path.read_bytes() == sound


@pytest.mark.parametrize("way", ["on a CPU", "of GPUs"])
def test_pixels_that_changed_are_an_error(tiny_set: Path, tmp_path: Path, way: str) -> None:
    """Inverted pixels end the run with the file and the sample; the file goes, and the next run makes it again."""
    shards = ShardSet.open(tiny_set)
    split, pixels = shards.split("train"), made(shards, tmp_path)["train"]
    file = CacheFile.of(shards, "train", tmp_path)
    sound = file.path.read_bytes()
    with file.path.open("r+b") as stream:
        stream.seek(HEADER + 300 * IMAGE)
        stream.write(bytes(255 - byte for byte in sound[HEADER + 300 * IMAGE : HEADER + 301 * IMAGE]))
    pipe = cached(split, pixels) if way == "on a CPU" else graph_for_gpus(split, 16, pixels)
    message = (
        rf"{file.path}: the decoded pixels of train-000003.tar, key 000000300 .*checksum.* was removed: start again"
    )
    with pytest.raises(DataError, match=message):
        list(pipe.run(training(split).stream(0, 10, range(3))))
    assert list(tmp_path.iterdir()) == []
    made(shards, tmp_path)
    assert file.path.read_bytes() == sound


def test_cut_while_batches_are_read(tiny_set: Path, tmp_path: Path) -> None:
    """A file that is cut at any moment is an error that says so, and no signal."""
    shards = ShardSet.open(tiny_set)
    split, file = shards.split("train"), CacheFile.of(shards, "train", tmp_path)
    for left in (0, file.size // 3, int(file.starts[-1]) - 1):
        pipe = ImagePipeline[Plan](split, 48, CPU, threads=2, decode="cpu", decoded=made(shards, tmp_path)["train"])
        batches = pipe.run(training(split, group=48).stream(0, 100_000, range(1)))
        next(batches)
        Timer(0.02, os.truncate, (file.path, left)).start()
        message = rf"{file.path}: .*: the file has {left:,} bytes instead of {file.size:,}.* removed: start again"
        with pytest.raises(DataError, match=message):
            deque(batches, maxlen=0)


def test_a_cache_that_was_made_again_meanwhile_stays(tiny_set: Path, tmp_path: Path) -> None:
    """A run that finds harm removes the file that it read, not one that another run has put in its place."""
    shards = ShardSet.open(tiny_set)
    pixels, file = made(shards, tmp_path)["train"], CacheFile.of(shards, "train", tmp_path)
    sound = file.path.read_bytes()
    (tmp_path / "new").write_bytes(sound)
    os.truncate(file.path, HEADER)
    (tmp_path / "new").replace(file.path)
    with pytest.raises(DataError, match="start again"):
        pixels.read(np.arange(3), Regions.whole(*np.full((2, 3), 64, np.int32)))
    assert file.path.read_bytes() == sound


def test_key_follows_set_split_and_decoder(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another shard set, split or decoder version has another file, so that a stale one is never met."""
    split_of([picture(64, 64)] * 2, tmp_path)
    one, other = ShardSet.open(tiny_set), ShardSet.open(tmp_path / "set")
    names = [CacheFile.of(shards, name, tmp_path).path for shards in (one, other) for name in ("train", "val")]
    assert CacheFile.of(ShardSet.open(tiny_set), "train", tmp_path).path == names[0]
    monkeypatch.setattr(cache, "_DECODERS", ("numpy",))
    names.append(CacheFile.of(one, "train", tmp_path).path)
    assert len(set(names)) == 5


FILL = """
import sys, time
from pathlib import Path
from headrace.shards.shardset import ShardSet
from headrace.train.input.decode import cache_fill as filling
from headrace.train.input.decode.cache import plan_caches
from headrace.train.machine.world import World
decode = filling.decode_all
def hanging(*given, **named):
    for images in decode(*given, **named):
        yield images
        print("decoded", flush=True)
        time.sleep(60)
filling.decode_all = hanging
shards = ShardSet.open(Path(sys.argv[1]))
files, _ = plan_caches(shards, ("train",), Path(sys.argv[2]))
filling.open_caches(shards, files, World(), 1, lambda line: print(line, flush=True))
"""


def test_killed_fill_leaves_nothing_that_looks_finished(tiny_set: Path, tmp_path: Path) -> None:
    """After SIGKILL in the middle there is no cache, and the next run makes it and removes what was left."""
    shards = ShardSet.open(tiny_set)
    command = [sys.executable, "-c", FILL, str(tiny_set), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": SEARCH}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "decoded\n"
        process.send_signal(signal.SIGKILL)
    file = CacheFile.of(shards, "train", tmp_path)
    assert not file.ready
    assert [path.stat().st_size for path in file.unfinished] == [file.size]  # its space was taken at once
    pixels = made(shards, tmp_path)["train"]
    images, _ = pixels.read(np.arange(480), Regions.whole(*np.full((2, 480), 64, np.int32)))
    assert len(images.arrays()) == 480
    assert [path.name for path in tmp_path.iterdir()] == [file.path.name]


def test_two_runs_at_once_make_it_once(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that finds another one filling waits for it, and reads the same file."""
    monkeypatch.setattr(cache_fill, "_TURN_SECONDS", 0.0)
    shards, said = ShardSet.open(tiny_set), list[str]()
    files, _ = plan_caches(shards, ("train",), tmp_path)
    first, second = (cache_fill._prepare(shards, files, 1, say) for say in (print, said.append))
    assert next(first)
    assert [next(second), next(second)] == [True, True]
    assert said == [f"cache    {files[0].path}: another run is making it; waiting"]
    assert list(first) == [True]
    before = files[0].path.stat().st_ino
    assert list(second) == []
    assert files[0].path.stat().st_ino == before
    assert [path.name for path in tmp_path.iterdir()] == [files[0].path.name]


def test_full_disk_is_refused_with_numbers(tiny_set: Path, tmp_path: Path) -> None:
    """Before anything is made, the run says what it needs and what there is; a smaller split alone does without."""
    shards = ShardSet.open(tiny_set)
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=3m", "headrace-test") as disk:
        with pytest.raises(UsageError, match=r"needs 5\.9 MB, free 3\.1 MB in .*disk.*runtime\.cache_dir"):
            plan_caches(shards, ("train", "val"), disk)
        assert list(disk.iterdir()) == []
    with mounted(tmp_path / "larger", "-t", "tmpfs", "-o", "size=6m", "headrace-test") as disk:
        files, remark = plan_caches(shards, ("train", "val"), disk)
        assert [file.split for file in files] == ["train"]
        assert remark.startswith("the split val is decoded each time: the decoded split val needs 1.5 MB, free 0.4 MB")


def test_disk_that_fills_up_meanwhile(tiny_set: Path, tmp_path: Path) -> None:
    """Space that is gone when the fill begins is an error before anything is decoded, and nothing is left."""
    shards = ShardSet.open(tiny_set)
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=8m", "headrace-test") as disk:
        files, _ = plan_caches(shards, ("train",), disk)
        (disk / "other").write_bytes(bytes(5_000_000))
        with pytest.raises(Exception, match="the disk is full"):
            open_caches(shards, files, World(), 1, print)
        assert [path.name for path in disk.iterdir()] == ["other"]


def test_small_memory_is_refused_with_numbers(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would not stay in memory is refused; a cache that is there already is not."""
    shards = ShardSet.open(tiny_set)
    made(shards, tmp_path / "there")
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9000 kB\nMemAvailable:    5000 kB\n")
    monkeypatch.setattr(capacity, "_MEMINFO", meminfo)
    with pytest.raises(UsageError, match=r"needs 5\.9 MB of memory .* 4\.1 MB may be used"):
        plan_caches(shards, ("train",), tmp_path / "new")
    files, remark = plan_caches(shards, ("train", "val"), tmp_path / "there")
    assert [file.split for file in files] == ["train"]
    assert "7.4 MB of memory" in remark


@pytest.mark.parametrize(("limit", "expected"), [("6000000", 3_500_000), ("max", None)])
def test_memory_of_a_control_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, expected: int | None
) -> None:
    """What a control group may still use is its limit without what it holds, but for pages of files."""
    (tmp_path / "memory.max").write_text(limit + "\n")
    (tmp_path / "memory.current").write_text("3000000\n")
    (tmp_path / "memory.stat").write_text("anon 2500000\ninactive_file 400000\nactive_file 100000\n")
    monkeypatch.setattr(capacity, "_GROUP", tmp_path)
    monkeypatch.setattr(capacity, "_MEMINFO", tmp_path / "none")
    assert capacity.usable_memory() == expected


def test_damaged_sample_ends_the_fill(tiny_set: Path, tmp_path: Path) -> None:
    """Bytes that are not the index's never become pixels: the fill ends with shard and key, and leaves nothing."""
    folder = Path(shutil.copytree(tiny_set, tmp_path / "copy"))
    with (folder / "train-000001.tar").open("r+b") as tar:
        tar.seek(700)
        tar.write(b"\0\0\0\0")
    with pytest.raises(DataError, match=r"train-000001\.tar, key 000000096 .*CRC-32"):
        made(ShardSet.open(folder), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def spoiled(root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Pixels], Pixels]) -> ShardSet:
    """A set that hands out something else for sample 300, as if prep had admitted it."""
    shards = ShardSet.open(root)
    opened = shards.split

    def split(name: str) -> Split:
        found = opened(name)
        pictures.spoiled(found, 300, spoil, folder)
        return found

    monkeypatch.setattr(shards, "split", split)
    return shards


def test_sample_that_does_not_decode_ends_the_fill(
    tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that was admitted and does not decode after all is named.

    It is cut in its scan: on one that ends in its header DALI's threads may crash (its error path has a race), which
    the checksum of each sample keeps away from it.
    """
    shards = spoiled(tiny_set, tmp_path, monkeypatch, lambda jpeg: jpeg[: len(jpeg) * 3 // 5])
    with pytest.raises(DataError, match=r"train-000003\.tar, key 000000300 .*does not decode"):
        made(shards, tmp_path / "cache")


def test_image_of_another_size_ends_the_fill(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels are placed by the index's widths and heights, so an image that has others is an error."""
    shards = spoiled(tiny_set, tmp_path, monkeypatch, lambda _: np.frombuffer(picture(32, 128), np.uint8))
    with pytest.raises(DataError, match=r"key 000000300 .*decodes to \(128, 32, 3\), the index says \(64, 64, 3\)"):
        made(shards, tmp_path / "cache")


def test_mixed_decoding_does_not_go_with_it() -> None:
    """Pixels of the cache are the CPU's, so asking for the GPU's at the same time is refused."""
    with pytest.raises(UsageError, match="cache = decoded holds what the CPU decodes"):
        load_recipe("demo", ["runtime.cache=decoded", "runtime.decode=mixed"])
