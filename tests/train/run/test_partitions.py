"""`train.partitions` in the plan of a run, at a resume, and in the first lines."""

from dataclasses import replace
from pathlib import Path

import pytest

from headrace.shards.errors import UsageError
from headrace.train.checkpoint import files
from headrace.train.machine.device import Accelerator
from headrace.train.machine.place import Place
from headrace.train.machine.world import World
from headrace.train.recipe.recipe import load_recipe
from headrace.train.run.opening import start_lines
from headrace.train.run.request import Request
from headrace.train.run.resolve import Setup, open_run_folder, resolve
from headrace.train.step.compilation import Compilation
from tests.train.run.test_resolve import state

FITS = ("train.epochs=2", "train.global_batch=48", "train.group=8")


@pytest.fixture
def request_(tiny_set: Path, tmp_path: Path) -> Request:
    """Return a request with six groups per step in two partitions."""
    return Request(tiny_set, "demo", (*FITS, "train.partitions=2"), out=tmp_path / "run")


def reads(setup: Setup, ranks: int, ranks_per_host: int) -> list[str]:
    """Return the part of the first lines about the share of the set that a host reads."""
    place = Place(World(0, ranks, 0, ranks_per_host), Accelerator.of("cpu"), 1)
    lines = start_lines(setup, place, "fp32", "random", Compilation("off"))
    return [line.removeprefix("reads    ") for line in lines if line.startswith("reads")]


def test_order_is_the_recipes(request_: Request) -> None:
    """The order has the recipe's partitions and global batch, and RUN/recipe.toml has the key."""
    setup = resolve(request_, 2)
    partitions = setup.order(setup.shards.split("train")).partitions
    assert partitions is not None
    assert (partitions.count, partitions.batch, partitions.shards) == (2, 48, (96,) * 5)
    open_run_folder(setup)
    assert load_recipe(str(setup.out / "recipe.toml")).train.partitions == 2
    plain = resolve(replace(request_, settings=FITS), 2)
    assert plain.order(plain.shards.split("train")).partitions is None


@pytest.mark.parametrize("settings", [("train.partitions=4",), ("train.batch_per_process=20", "train.partitions=4")])
def test_partitions_divide_the_groups(request_: Request, settings: tuple[str, ...]) -> None:
    """Other numbers would split a group, so they are refused with the numbers that divide the groups."""
    with pytest.raises(
        UsageError, match=r"partitions = 4 does not divide the 6 groups of a step; these .* \[1, 2, 3, 6\]"
    ):
        resolve(replace(request_, settings=(*FITS, *settings)), 6)


def test_batch_counted_by_the_process_has_partitions_too(request_: Request) -> None:
    """With batch_per_process each process is a group, whatever global_batch and group are."""
    asked = replace(request_, settings=(*FITS, "train.batch_per_process=20", "train.partitions=4"))
    assert resolve(asked, 4).order(resolve(asked, 4).shards.split("train")).partitions.batch == 80  # type: ignore[union-attr]


def test_another_number_is_refused_at_a_resume(request_: Request, tiny_set: Path) -> None:
    """A checkpoint without the key has an order without partitions."""
    assert request_.out is not None
    request_.out.mkdir()
    saved = state(tiny_set, load_recipe("demo", FITS))
    del saved["recipe"]["train"]["partitions"]
    files.save(request_.out, saved, 3, best=False, keep=9)
    again = replace(request_, resume="last")
    with pytest.raises(UsageError, match=r"train\.partitions was 1, now 2"):
        resolve(again, 1)
    assert resolve(replace(again, settings=FITS), 1).recipe.train.partitions == 1
    assert resolve(replace(again, recipe=None, settings=()), 1).recipe.train.partitions == 1


def test_first_lines_say_what_a_host_reads(request_: Request) -> None:
    """The share is D / N if hosts divide partitions and groups, else more; a single host without any has no line."""
    plain, two = resolve(replace(request_, settings=FITS), 1), resolve(request_, 1)
    assert reads(plain, 2, 2) == []
    (whole,) = reads(plain, 4, 2)
    assert whole.startswith("each of 2 hosts reads the whole training set in each epoch, ")
    assert whole.endswith("; with train.partitions = 2 each host would read 1/2")
    assert reads(two, 2, 2)[0].startswith("this host reads 2 of 2 partitions of the training set in each epoch, about ")
    assert reads(two, 6, 3)[0].startswith("each of 2 hosts reads 1 of 2 partitions ")
    assert reads(two, 4, 2)[0].startswith("each of 2 hosts reads 2 of 2 partitions ")  # 4 groups and 2 of them
    assert reads(two, 3, 1)[0].startswith("each of 3 hosts reads 2 of 2 partitions ")
