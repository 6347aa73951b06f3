"""`headrace.Loader`: errors about wrong arguments, wrong use, wrong states and damage."""

import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.shards import mapped, open_files
from headrace.shards.errors import DataError, NewerError, UsageError
from headrace.shards.shardset import ShardSet
from headrace.train.input.batch import Batch
from headrace.train.input.feed import Feed
from headrace.train.input.loader import Loader
from tests.train.input.loaders import MIXED, load


def test_second_iterator_ends_the_first(tiny_set: Path, opened: list[Loader]) -> None:
    """Making an iterator starts nothing; advancing it ends the earlier one, whose error says so."""
    loader = load(tiny_set, opened)
    threads = threading.active_count()
    one, other = iter(loader), iter(loader)
    assert threading.active_count() == threads
    next(one)
    next(other)
    with pytest.raises(UsageError, match="this iterator of a Loader has ended"):
        next(one)
    assert loader.step == 2


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "ranks": ({"rank": 0, "world": 5}, r"batch = 12 cannot be divided equally among 5 ranks; .*: 1, 2, 3, 4, 6, 12"),
    "ranks of groups": ({"rank": 0, "world": 4, "group": 6}, r"in groups of 6 cannot be divided .*: 1, 2$"),
    "partitions": ({"partitions": 5}, r"partitions = 5 does not divide batch = 12; these do: 1, 2, 3, 4, 6, 12$"),
    "partitions of groups": ({"partitions": 4, "group": 2}, r"the 6 groups of a batch; these do: 1, 2, 3, 6$"),
    "partitions of validation": ({"split": "val", "partitions": 2}, "partitions is for training"),
    "rank": ({"rank": 2, "world": 2}, r"rank 2 of world 2: expected a rank from 0 to 1"),
    "world": ({"rank": 0}, "give both arguments, or neither"),
    "group": ({"group": 5}, r"group = 5 does not divide batch = 12"),
    "mixing": ({"augment": MIXED}, r"mixes images .*group is required"),
    "mixup of uint8": ({"augment": MIXED, "group": 2, "normalise": None}, "mixup blends images"),
    "batch": ({"batch": 10**5}, r"batch = 100000 is larger than the split 'train'"),
    "no batch": ({"batch": 0}, "batch = 0: expected a whole number from 1 to"),
    "split": ({"split": "test"}, "no split 'test'; its splits are: train, val"),
    "augment": ({"augment": {"crop": 1}}, "augment: crop: Extra inputs"),
    "recipe": ({"augment": "nope"}, "recipe nope: neither a file nor a shipped recipe"),
    "validation": ({"split": "val", "smoothing": 0.1}, "smoothing is for training"),
    "normalise": ({"normalise": ((123, 116, 103), (58, 57, 57))}, "for pixels in 0 to 1"),
    "size": ({"size": 5}, "size = 5: expected a whole number"),
    "sizes": ({"size": ((5, 64),)}, "the first step must be 0"),
    "cache": ({"cache": "yes"}, "cache = 'yes': expected"),
    "threads": ({"threads": 0}, "threads = 0"),
    "pad": ({"split": "val", "pad": False, "rank": 0, "world": 2}, "which 2 ranks cannot share"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_refused_at_once(tiny_set: Path, opened: list[Loader], name: str) -> None:
    """Each error names the argument, its value and the allowed values."""
    options, message = WRONG[name]
    with pytest.raises(UsageError, match=message):
        load(tiny_set, opened, **{"split": "train", **options})


def test_devices(tiny_set: Path, opened: list[Loader]) -> None:
    """A device that does not exist is refused at the first batch."""
    with pytest.raises(UsageError, match="device 'meta' is not available"):
        next(iter(load(tiny_set, opened, device="meta")))


def test_states_that_do_not_match_are_refused(tiny_set: Path, opened: list[Loader]) -> None:
    """Each differing value is named; a newer state is called newer, and anything else is no state."""
    state = load(tiny_set, opened, seed=1, batch=6).state_dict()
    loader = load(tiny_set, opened)
    with pytest.raises(UsageError, match=r"batch is 12, but the state has 6; seed is 0, but the state has 1"):
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
    """The error has shard, key and what to do, as in a run."""
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


def test_copies_of_columns_are_a_warning(tiny_set: Path, opened: list[Loader], monkeypatch: pytest.MonkeyPatch) -> None:
    """If the columns of a large split cannot be shared, there is one warning, and batches do not change."""
    expected = next(iter(load(tiny_set, opened)))[1]
    monkeypatch.setattr(mapped, "FEWEST", 1)
    monkeypatch.setattr(mapped, "private_folder", lambda _: None)
    monkeypatch.setattr(mapped.MAPPED, "trouble", "")
    with pytest.warns(RuntimeWarning, match="so every process has its own copy") as warned:
        assert torch.equal(next(iter(load(tiny_set, opened)))[1], expected)
    assert len(warned) == 1


def open_below(folder: Path) -> int:
    """Return the number of files of a folder that this process has open, while threads open and close files."""
    found = 0
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found += str(path.readlink()).startswith(str(folder))
    return found


@pytest.mark.parametrize(("window", "most"), [(2, 4), (None, 40)])
def test_window_has_its_tars_open_alone(
    tiny_zip: Path,
    tmp_path: Path,
    opened: list[Loader],
    window: int | None,
    most: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For a set with very many tars in windows, only the tars of two windows are open."""
    prep(tiny_zip, tmp_path / "set", Options(samples_per_shard=12), workers=1, if_exists="error", say=lambda _: None)
    monkeypatch.setattr(open_files, "_FROM_THE_START", 3)
    loader = load(tmp_path / "set", opened, window=window, augment=None)
    links = [open_below(tmp_path) for _ in loader]
    assert len(links) == 40
    assert most <= max(links) <= most + 1  # one that is let go of may be read from for a moment


def test_ranks_that_are_found_are_checked_too(
    tiny_set: Path, opened: list[Loader], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranks of torchrun are known at the first batch, and arguments that do not fit them are refused then."""
    for name, value in {"RANK": 0, "WORLD_SIZE": 5, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 5}.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(UsageError, match="cannot be divided equally among 5 ranks"):
        next(iter(load(tiny_set, opened)))
    with pytest.raises(UsageError, match="which 5 ranks cannot share"):
        next(iter(load(tiny_set, opened, "val", batch=10, pad=False)))


def test_interrupt_loses_no_group(tiny_set: Path, opened: list[Loader], monkeypatch: pytest.MonkeyPatch) -> None:
    """After Ctrl-C between two groups of a step, as in a notebook, the next pass has that whole step."""
    expected = [targets.tolist() for _, targets in load(tiny_set, opened, augment=MIXED, group=2).steps(0, 2)]
    loader = load(tiny_set, opened, augment=MIXED, group=2)
    found = [next(iter(loader))[1].tolist()]
    hand_out, left = Feed.__next__, [3]

    def interrupted(feed: Feed) -> Batch:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return hand_out(feed)

    monkeypatch.setattr(Feed, "__next__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(iter(loader))
    found.append(next(iter(loader))[1].tolist())
    assert found == expected


def test_mixing_does_not_end_by_an_attribute(tiny_set: Path, opened: list[Loader]) -> None:
    """The loop of timm may set the attribute to its own value; for another value the error says what to do."""
    loader = load(tiny_set, opened, augment=MIXED, group=2)
    loader.mixup_enabled = True
    with pytest.raises(UsageError, match="augment decides"):
        loader.mixup_enabled = False
