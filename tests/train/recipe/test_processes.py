"""The numbers of processes that each shipped recipe can run on."""

from headrace.shards.order import Steps
from headrace.train.recipe.automatic import Facts, settle
from headrace.train.recipe.preferred import Preferred
from headrace.train.recipe.recipe import load_recipe, shipped_recipes

PROCESSES = (1, 2, 4, 6, 8)
TINY_IMAGENET = Facts(100_000, 200, 64)
WEIGHTS = Preferred((124.0, 116.0, 104.0), (58.0, 57.0, 57.0), 224, 288, 1.0, "bicubic")
"""Of recipes that leave size and crop to their network."""
REFUSED = {
    "b0-224-1gpu": (2, 4, 6, 8),
    "b0-fast-1gpu": (2, 4, 6, 8),
    "b0-scratch": (6, 8),
    "demo": (4, 6, 8),
    "lite0-cpu": (6, 8),
}
"""The numbers of processes that have too few groups to share out; every other recipe runs on all of them."""


def refused(name: str) -> tuple[int, ...]:
    """Return the numbers of processes that exceed the groups of a step."""
    found = []
    for processes in PROCESSES:
        train = settle(load_recipe(name), TINY_IMAGENET, name, WEIGHTS).for_processes(processes).train
        if Steps(TINY_IMAGENET.samples, train.global_batch, train.group).groups < processes:
            found.append(processes)
    return tuple(found)


def test_processes_that_are_refused() -> None:
    """Each recipe refuses exactly the listed numbers, so a change of its groups fails this test."""
    assert {name: gone for name in shipped_recipes() if (gone := refused(name))} == REFUSED


def test_recipes_for_several_gpus_share_out_evenly() -> None:
    """On 1, 2, 4 and 8 processes, all processes compute the same number of groups."""
    for name in ("b0-224", "b0-224-8gpu", "b0-fast"):
        train = settle(load_recipe(name), TINY_IMAGENET, name, WEIGHTS).train
        assert train.global_batch == 8 * train.group
