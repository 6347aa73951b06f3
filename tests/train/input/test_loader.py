"""`headrace.Loader`: the order of samples, their pixels, and their division among ranks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812  torch's own convention

from headrace.shards.errors import UsageError
from headrace.shards.shardset import ShardSet
from headrace.train.input.loader import Loader
from headrace.train.recipe.recipe import load_recipe
from tests.train.input.loaders import MIXED, SIZE, load
from tests.train.pictures import evaluated


def handed_out(loader: Loader, last: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return the batches from the loader's step to `last`."""
    return [(images.clone(), targets.clone()) for images, targets in loader.steps(None, last)]


def test_batches_are_tensors_of_the_plan(tiny_set: Path, opened: list[Loader]) -> None:
    """Batches have the right shape, dtype and layout, and the labels of the plan's ids."""
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
    """Without augmentation, images have the pixels of evaluation, normalised or not."""
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
    """The ranks' parts together equal the batch of one rank, pixels and soft targets, bit for bit."""
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
    """A state taken in the middle of an epoch continues with the next batch on any number of ranks."""
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


def test_state_of_before_has_one_partition(tiny_set: Path, opened: list[Loader]) -> None:
    """A state without partitions is loaded, but not by a loader that has several."""
    plain, two = load(tiny_set, opened), load(tiny_set, opened, partitions=2)
    state = {name: value for name, value in plain.state_dict().items() if name != "partitions"}
    plain.load_state_dict({**state, "step": 3})
    assert plain.step == 3
    with pytest.raises(UsageError, match="partitions is 2, but the state has 1"):
        two.load_state_dict(state)
    assert two.plan(0).ids.tolist() != plain.plan(0).ids.tolist()


def test_iterations_go_on_where_the_last_one_stopped(tiny_set: Path, opened: list[Loader]) -> None:
    """A `break` loses no batch; the first pass after a seek ends with its epoch, later ones have `len` batches."""
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
    """Over n steps of n samples, every sample occurs equally often, each time in its own epoch."""
    loader = load(tiny_set, opened, batch=7)
    samples = len(ShardSet.open(tiny_set).split("train"))
    plans = [loader.plan(step) for step in range(samples)]
    ids, epochs = (np.concatenate(column) for column in ([p.ids for p in plans], [p.epochs for p in plans]))
    assert np.bincount(ids).tolist() == [7] * samples
    assert all(np.unique(epochs[ids == one]).tolist() == list(range(7)) for one in range(samples))


@pytest.mark.parametrize("world", [1, 2, 5])
@pytest.mark.parametrize("batch", [10, 20, 1000])
def test_validation_counts_each_sample_once(tiny_set: Path, opened: list[Loader], world: int, batch: int) -> None:
    """All ranks have equal numbers of equal batches; padding (-100) comes last; sums equal those of the split."""
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
    """Summed cross entropy over padded batches equals that of the samples."""
    labels = torch.from_numpy(ShardSet.open(tiny_set).split("val").labels)
    loader = load(tiny_set, opened, "val", batch=16)
    logits = torch.linspace(-1, 1, loader.classes)
    losses = [F.cross_entropy(logits.expand(len(t), -1), t, reduction="sum") for _, t in loader]
    expected = F.cross_entropy(logits.expand(len(labels), -1), labels, reduction="sum")
    torch.testing.assert_close(torch.stack(losses).sum(), expected)


def test_augmentation_of_the_default_recipe_needs_no_size(tiny_set: Path, opened: list[Loader]) -> None:
    """The recipe's size is "auto", and the loader uses its own size."""
    (images, _) = handed_out(load(tiny_set, opened, augment="finetune"), 1)[0]
    assert images.shape[-2:] == (SIZE, SIZE)
    (plain, _) = handed_out(load(tiny_set, opened), 1)[0]
    assert not torch.equal(images, plain)
    written = load_recipe("finetune").augment.model_dump() | {"size": SIZE}
    (same, _) = handed_out(load(tiny_set, opened, augment=written), 1)[0]
    assert torch.equal(images, same)


def test_cache_gives_the_same_bits(tiny_set: Path, tmp_path: Path, opened: list[Loader]) -> None:
    """The first process fills the decoded cache without a process group, and no pixel changes."""
    plain = handed_out(load(tiny_set, opened, augment=MIXED, group=2), 3)
    for _ in range(2):
        cached = load(tiny_set, opened, augment=MIXED, group=2, cache="decoded", cache_dir=tmp_path)
        pairs = zip(plain, handed_out(cached, 3), strict=True)
        assert all(torch.equal(a[0], b[0]) for a, b in pairs)
    assert len(list(tmp_path.glob("train-*.rgb"))) == 1


def test_plan_of_validation(tiny_set: Path, opened: list[Loader]) -> None:
    """Batches have the ids in order, the last one is short, and a later batch is an error."""
    loader = load(tiny_set, opened, "val", batch=50)
    plans = [loader.plan(step) for step in range(len(loader))]
    assert [len(plan.ids) for plan in plans] == [50, 50, 20]
    assert np.concatenate([plan.ids for plan in plans]).tolist() == list(range(120))
    for step in (-1, 3):
        with pytest.raises(UsageError, match=r"expected a step of at least 0, and below 3"):
            loader.plan(step)
