"""`headrace.Loader`: which samples come when, on which rank, and what is said of wrong use."""

import gc
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812  torch's own convention

from headrace.shards.errors import DataError, NewerError, UsageError
from headrace.shards.order import Order, Steps, deal
from headrace.shards.shardset import ShardSet
from headrace.train.input.loader import Loader
from tests.train.pictures import evaluated

MIXED = {"mixup": 0.5, "cutmix": 1.0, "crop_area": [0.3, 1.0]}
SIZE = 32


@pytest.fixture
def opened() -> Iterator[list[Loader]]:
    """Loaders that are closed after the test."""
    loaders: list[Loader] = []
    yield loaders
    for loader in loaders:
        loader.close()


def load(shards: Path, loaders: list[Loader], split: str = "train", **options: Any) -> Loader:
    """A loader of small images on one thread."""
    values: dict[str, Any] = {"batch": 12, "size": SIZE, "device": "cpu", "threads": 1, **options}
    loaders.append(Loader(shards, split, **values))
    return loaders[-1]


def entries(folder: str) -> int:
    """How many there are in a folder."""
    return len(list(Path(folder).iterdir()))


def process_threads(at_most: int = 0) -> int:
    """Threads of this process, those of libraries too; waits a while until they are few enough."""
    until = time.monotonic() + 10
    while (count := entries("/proc/self/task")) > at_most and at_most and time.monotonic() < until:
        time.sleep(0.05)
    return count


def handed_out(loader: Loader, last: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Batches from the loader's step to `last`."""
    return [(images.clone(), targets.clone()) for images, targets in loader.steps(None, last)]


def test_batches_are_tensors_of_the_plan(tiny_set: Path, opened: list[Loader]) -> None:
    """Shape, dtype, layout; labels are those of the plan's ids."""
    loader = load(tiny_set, opened)
    split = ShardSet.open(tiny_set).split("train")
    for step, (images, targets) in enumerate(loader):
        plan = loader.plan(step)
        assert images.shape == (12, 3, SIZE, SIZE)
        assert images.dtype == torch.float32
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert targets.dtype == torch.int64
        assert targets.tolist() == plan.labels.tolist() == split.labels[plan.ids].tolist()
        assert plan.keys == [split.keys[row] for row in plan.ids]
    assert step + 1 == len(loader) == loader.step == len(split) // 12
    assert loader.epoch == 1


def test_plain_images_are_those_of_evaluation(tiny_set: Path, opened: list[Loader]) -> None:
    """Without an augmentation nothing is drawn: pixels are those that evaluation sees, normalised or not."""
    split = ShardSet.open(tiny_set).split("val")
    expected = torch.from_numpy(evaluated(split, size=SIZE, fraction=0.875)).permute(0, 3, 1, 2)
    raw = load(tiny_set, opened, "val", crop=0.875, normalise=None, pad=False, batch=7)
    pixels = torch.cat([images for images, _ in raw])
    assert pixels.dtype == torch.uint8
    assert torch.equal(pixels, expected)
    mean, std = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.3, 0.25])
    config = {"mean": mean.tolist(), "std": std.tolist()}
    normalised = load(tiny_set, opened, "val", crop=0.875, normalise=config, pad=False)
    scaled = (expected / 255 - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(torch.cat([images for images, _ in normalised]), scaled, atol=2e-5, rtol=0)
    half = load(tiny_set, opened, "val", crop=0.875, normalise=config, dtype=torch.bfloat16)
    assert next(iter(half))[0].dtype == torch.bfloat16


def test_mixed_batches_are_equal_on_any_number_of_ranks(tiny_set: Path, opened: list[Loader]) -> None:
    """The ranks' parts put together are the batch of one rank, pixels and soft targets, to the bit."""
    options: dict[str, Any] = {"augment": MIXED, "group": 2, "smoothing": 0.1, "seed": 3}
    whole = handed_out(load(tiny_set, opened, **options), 4)
    for world in (2, 3, 6):
        parts = [handed_out(load(tiny_set, opened, rank=r, world=world, **options), 4) for r in range(world)]
        for step, (images, targets) in enumerate(whole):
            assert torch.equal(images, torch.cat([part[step][0] for part in parts]))
            assert torch.equal(targets, torch.cat([part[step][1] for part in parts]))
    assert whole[0][1].dtype == torch.float32
    torch.testing.assert_close(whole[0][1].sum(1), torch.ones(12))


def test_resume_on_another_number_of_ranks(tiny_set: Path, opened: list[Loader]) -> None:
    """A state taken in mid-epoch with batches made ahead continues with the very next batch, on any rank count."""
    options: dict[str, Any] = {"augment": MIXED, "group": 2}
    whole = handed_out(load(tiny_set, opened, **options), 7)
    first = load(tiny_set, opened, rank=0, world=2, **options)
    for number, _ in enumerate(first):
        if number == 2:
            break
    state = first.state_dict()
    assert len(str(state)) < 1000
    assert first.step == 3
    parts = []
    for rank in range(3):
        loader = load(tiny_set, opened, rank=rank, world=3, **options)
        loader.load_state_dict(state)
        parts.append(handed_out(loader, 7))
    for step in range(3, 7):
        assert torch.equal(whole[step][0], torch.cat([part[step - 3][0] for part in parts]))


def test_iterations_go_on_where_the_last_one_stopped(tiny_set: Path, opened: list[Loader]) -> None:
    """`break` loses nothing; the first pass after a seek ends with its epoch, later ones have `len` batches."""
    loader = load(tiny_set, opened)
    length = len(loader)
    seen = []
    for _ in range(3):
        for number, _ in enumerate(loader):
            seen.append(loader.step)
            if number == 1:
                break
    assert seen == list(range(1, 7))
    loader.seek(length - 2)
    assert len(list(loader)) == 2
    assert len(list(loader)) == length
    loader.seek(5)
    assert len(list(loader)) == length - 5
    loader.set_epoch(1)
    assert loader.step == length
    loader.set_epoch(3)
    assert (loader.step, loader.epoch) == (3 * length, 3)


def test_what_is_left_over_comes_first_in_the_next_epoch(tiny_set: Path, opened: list[Loader]) -> None:
    """Over n steps of n samples each sample comes as often as any other, under its own epoch."""
    loader = load(tiny_set, opened, batch=7)
    samples = len(ShardSet.open(tiny_set).split("train"))
    plans = [loader.plan(step) for step in range(samples)]
    ids, epochs = (np.concatenate(column) for column in ([p.ids for p in plans], [p.epochs for p in plans]))
    assert np.bincount(ids).tolist() == [7] * samples
    assert all(np.unique(epochs[ids == one]).tolist() == list(range(7)) for one in range(samples))


def test_second_iterator_ends_the_first(tiny_set: Path, opened: list[Loader]) -> None:
    """Making one starts nothing; advancing it ends the one before, with an error that says so."""
    loader = load(tiny_set, opened)
    threads = process_threads()
    one, other = iter(loader), iter(loader)
    assert process_threads() == threads
    next(one)
    next(other)
    with pytest.raises(UsageError, match="this iterator of a Loader is over"):
        next(one)
    assert loader.step == 2


@pytest.mark.parametrize("world", [1, 2, 5])
@pytest.mark.parametrize("batch", [10, 20, 1000])
def test_validation_counts_each_sample_once(tiny_set: Path, opened: list[Loader], world: int, batch: int) -> None:
    """Equal numbers of equal batches on all ranks; padding is -100 at the end; sums are those of the split."""
    labels = ShardSet.open(tiny_set).split("val").labels
    found: list[torch.Tensor] = []
    shapes: set[tuple[int, ...]] = set()
    for rank in range(world):
        loader = load(tiny_set, opened, "val", batch=batch, rank=rank, world=world)
        for _ in range(2):  # each pass begins anew
            batches = list(loader)
        targets = [target for _, target in batches]
        shapes |= {(len(loader), *images.shape) for images, _ in batches}
        joined = torch.cat(targets)
        found.append(joined[joined != -100])
        for target in targets:
            real = int((target != -100).sum())
            assert (target[real:] == -100).all()
    assert sorted(torch.cat(found).tolist()) == sorted(labels.tolist())
    assert shapes == {(-(-len(labels) // batch), batch // world, 3, SIZE, SIZE)}


def test_padding_is_ignored_by_the_loss(tiny_set: Path, opened: list[Loader]) -> None:
    """Summed cross entropy over padded batches is that of the samples."""
    labels = torch.from_numpy(ShardSet.open(tiny_set).split("val").labels)
    loader = load(tiny_set, opened, "val", batch=16)
    logits = torch.linspace(-1, 1, loader.classes)
    losses = [F.cross_entropy(logits.expand(len(t), -1), t, reduction="sum") for _, t in loader]
    expected = F.cross_entropy(logits.expand(len(labels), -1), labels, reduction="sum")
    torch.testing.assert_close(torch.stack(losses).sum(), expected)


def test_cache_gives_the_same_bits(tiny_set: Path, tmp_path: Path, opened: list[Loader]) -> None:
    """The decoded cache is filled without a process group, by whoever comes first, and changes no pixel."""
    plain = handed_out(load(tiny_set, opened, augment=MIXED, group=2), 3)
    for _ in range(2):
        cached = load(tiny_set, opened, augment=MIXED, group=2, cache="decoded", cache_dir=tmp_path)
        pairs = zip(plain, handed_out(cached, 3), strict=True)
        assert all(torch.equal(a[0], b[0]) for a, b in pairs)
    assert len(list(tmp_path.glob("train-*.rgb"))) == 1


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "ranks": ({"rank": 0, "world": 5}, r"batch = 12 cannot be dealt evenly to 5 ranks; .*: 1, 2, 3, 4, 6, 12"),
    "ranks of groups": ({"rank": 0, "world": 4, "group": 6}, r"in groups of 6 cannot be dealt .*: 1, 2$"),
    "rank": ({"rank": 2, "world": 2}, r"rank 2 of 2: expected 0 to 1"),
    "world": ({"rank": 0}, "give both, or neither"),
    "group": ({"group": 5}, r"group = 5 does not divide batch = 12"),
    "mixing": ({"augment": MIXED}, r"mixes images .*give group"),
    "mixup of uint8": ({"augment": MIXED, "group": 2, "normalise": None}, "mixup blends images"),
    "batch": ({"batch": 10**5}, r"batch = 100000 is more than the \d+ samples of the split 'train'"),
    "no batch": ({"batch": 0}, "batch = 0: expected 1 to"),
    "split": ({"split": "test"}, "no split 'test'; there are: train, val"),
    "augment": ({"augment": {"crop": 1}}, "augment: crop: Extra inputs"),
    "recipe": ({"augment": "nope"}, "recipe nope: no such file, nor a shipped recipe"),
    "validation": ({"split": "val", "smoothing": 0.1}, "smoothing is for training"),
    "normalise": ({"normalise": ((123, 116, 103), (58, 57, 57))}, "of pixels in 0 to 1"),
    "size": ({"size": 5}, "size = 5: expected whole pixels"),
    "sizes": ({"size": ((5, 64),)}, "the first must be 0"),
    "cache": ({"cache": "yes"}, "cache = 'yes': expected"),
    "threads": ({"threads": 0}, "threads = 0"),
    "pad": ({"split": "val", "pad": False, "rank": 0, "world": 2}, "which 2 ranks cannot share"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_refused_at_once(tiny_set: Path, opened: list[Loader], name: str) -> None:
    """Each names the argument, what it was and what it may be."""
    options, message = WRONG[name]
    with pytest.raises(UsageError, match=message):
        load(tiny_set, opened, **{"split": "train", **options})


def test_devices(tiny_set: Path, opened: list[Loader]) -> None:
    """One that is not there is refused at the first batch."""
    with pytest.raises(UsageError, match="device 'meta' is not there"):
        next(iter(load(tiny_set, opened, device="meta")))


def test_states_that_do_not_match_are_refused(tiny_set: Path, opened: list[Loader]) -> None:
    """Each value that differs is named; a newer state is said to be newer, anything else to be no state."""
    state = load(tiny_set, opened, seed=1, batch=6).state_dict()
    loader = load(tiny_set, opened)
    with pytest.raises(UsageError, match=r"batch is 12, the state has 6; seed is 0, the state has 1"):
        loader.load_state_dict(state)
    own = loader.state_dict()
    for newer in ({**own, "format": 2}, {**own, "lanes": 3}):
        with pytest.raises(NewerError, match="upgrade"):
            loader.load_state_dict(newer)
    for broken in ({}, {**own, "step": -1}, {**own, "step": None}, {"format": "x"}):
        with pytest.raises(DataError, match="not the state of a Loader"):
            loader.load_state_dict(broken)
    assert loader.step == 0
    validation = load(tiny_set, opened, "val")
    assert validation.state_dict() == {}
    validation.load_state_dict({})
    with pytest.raises(UsageError, match="has no state"):
        validation.load_state_dict(own)


def test_damage_is_raised_with_the_sample(tiny_set: Path, tmp_path: Path, opened: list[Loader]) -> None:
    """As in a run: shard, key and what to do."""
    broken = tmp_path / "set"
    shutil.copytree(tiny_set, broken)
    split = ShardSet.open(broken).split("train")
    places = split.places(np.arange(len(split)))
    tar = next(broken.glob("train-*.tar"))
    with tar.open("r+b") as stream:
        stream.seek(int(places.offsets[0]) + int(places.sizes[0]) // 2)
        stream.write(b"\0" * 40)
    loader = load(broken, opened)
    with pytest.raises(DataError, match=r"train-0000\d\d.tar, key 000000\d\d\d .* `headrace verify "):
        list(loader)
    at_damage = loader.step
    with pytest.raises(DataError):
        next(loader.steps(at_damage))
    loader.seek(at_damage + 1)
    assert next(iter(loader))[0].shape[0] == 12


def test_nothing_stays_of_loaders(tiny_set: Path) -> None:
    """Fifty loaders, half of them read from, some left in their middle: threads and descriptors are as before."""

    def use(number: int) -> None:
        loader = Loader(tiny_set, batch=12, size=SIZE, device="cpu", threads=2)
        if number % 2:
            for step, _ in enumerate(loader):
                if step == number % 5:
                    break
        if number % 3 == 0:
            loader.close()

    use(1)
    gc.collect()
    threads, files = process_threads(), entries("/proc/self/fd")
    for number in range(50):
        use(number)
    workers = [threading.Thread(target=use, args=(number,)) for number in (1, 3, 7, 9)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    gc.collect()
    assert process_threads(at_most=threads) <= threads
    assert entries("/proc/self/fd") <= files


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_union_over_ranks_is_the_plan(data: st.DataObject) -> None:
    """For any size, batch, group, ranks, seed and break point: nothing twice, nothing lost (without pixels)."""
    world = data.draw(st.integers(1, 8), "ranks")
    group = data.draw(st.integers(1, 6), "group")
    batch = world * group * data.draw(st.integers(1, 4), "groups of a rank")
    samples = data.draw(st.integers(batch, 5 * batch + 7), "samples")
    seed, stop = data.draw(st.integers(0, 2**63 - 1), "seed"), data.draw(st.integers(0, 12), "break point")
    order, steps = Order(samples, seed), Steps(samples, batch, group)
    ids: list[int] = []
    for step in range(stop + 3):
        ranks = world if step < stop else 1  # resumed on one rank
        for rank in range(ranks):
            for one in steps.groups_of(ranks, rank):
                ids += order.positions(*steps.group_span(step, one)).ids.tolist()
    whole = order.positions(0, (stop + 3) * batch).ids.tolist()
    assert ids == whole
    full = len(whole) // samples * samples
    assert set(np.bincount(whole[:full], minlength=samples)) <= {full // samples}
    assert sum(len(deal(samples % batch, world, rank)) for rank in range(world)) == samples % batch
