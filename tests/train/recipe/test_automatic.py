"""Properties of the numbers for "auto" that hold for every training split."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headrace.shards.errors import UsageError
from headrace.train.recipe import automatic
from headrace.train.recipe.automatic import Facts, settle
from headrace.train.recipe.recipe import load_recipe, shipped_recipes
from headrace.train.recipe.settled import AUTOMATIC, Settled, automatic_keys
from tests.project.automatic_tables import tables, written

SAMPLES = st.integers(1, 2_000_000) | st.integers(1, 300)
FACTS = st.builds(Facts, SAMPLES, st.integers(1, 20_000), st.integers(1, 30_000))


def finetune(facts: Facts, *settings: str) -> Settled:
    """Return the default recipe, with settings, for a training split."""
    return settle(load_recipe("finetune", settings), facts, "finetune")


def updates(settled: Settled, samples: int) -> int:
    """Return the number of optimizer updates of a whole run."""
    return -(-settled.train.epochs * samples // settled.train.global_batch)


@given(FACTS)
def test_numbers_are_within_their_bounds(facts: Facts) -> None:
    """A run can always begin: no batch exceeds the set, groups divide the batch, and no key stays "auto"."""
    found = finetune(facts)
    assert automatic_keys(found) == []
    assert automatic.FEWEST_EPOCHS <= found.train.epochs <= automatic.MOST_EPOCHS
    assert 1 <= found.train.global_batch <= min(facts.samples, automatic.LARGEST_BATCH)
    assert found.train.global_batch % found.train.group == 0
    assert min(found.train.global_batch, automatic.SMALLEST_GROUP) <= found.train.group <= automatic.LARGEST_GROUP
    assert 96 <= found.augment.size <= 224
    assert found.evaluate.size == found.augment.size + automatic.STRIDE


@given(FACTS)
def test_runs_are_neither_too_short_nor_too_long(facts: Facts) -> None:
    """From 50 images on, running statistics settle; a run on many images makes no more passes than needed."""
    assume(facts.samples >= 50)
    found = finetune(facts)
    assert updates(found, facts.samples) >= 200
    seen = found.train.epochs * facts.samples
    most = max(automatic.SEEN * facts.samples**0.5, automatic.VIEWS * facts.classes)
    assert seen <= max(most + facts.samples / 2, automatic.FEWEST_EPOCHS * facts.samples)


@given(FACTS, SAMPLES, st.integers(0, 10_000), st.integers(0, 10_000))
def test_more_of_anything_turns_no_number_round(facts: Facts, more: int, classes: int, pixels: int) -> None:
    """More images: no more epochs, no smaller batch. More classes: no fewer epochs. Larger images: no smaller size."""
    found = finetune(facts)
    larger = finetune(facts._replace(samples=facts.samples + more))
    assert larger.train.epochs <= found.train.epochs
    assert larger.train.global_batch >= found.train.global_batch
    assert larger.train.group >= found.train.group
    assert finetune(facts._replace(classes=facts.classes + classes)).train.epochs >= found.train.epochs
    wider = finetune(facts._replace(side=facts.side + pixels))
    assert wider.augment.size >= found.augment.size
    assert wider.evaluate.size >= found.evaluate.size


@given(FACTS, st.integers(1, 5_000))
def test_group_fits_a_batch_that_is_given(facts: Facts, batch: int) -> None:
    """The group divides a given batch, which does not change, and has at least eight samples if the batch has."""
    found = finetune(facts, f"train.global_batch={batch}").train
    assert found.global_batch == batch
    assert batch % found.group == 0
    assert found.group >= min(batch, automatic.SMALLEST_GROUP)


@given(FACTS, st.integers(1, 500))
def test_batch_fits_a_group_that_is_given(facts: Facts, group: int) -> None:
    """The batch consists of whole groups of a given size."""
    found = finetune(facts, f"train.group={group}").train
    assert found.group == group
    assert found.global_batch % group == 0


@given(FACTS, st.integers(1, 16))
def test_batch_and_group_fit_partitions_that_are_given(facts: Facts, partitions: int) -> None:
    """The partitions divide the groups of a step, whatever else is chosen or given."""
    for settings in ((), ("train.group=6",), (f"train.global_batch={partitions * 24}",)):
        found = finetune(facts, f"train.partitions={partitions}", *settings).train
        assert found.global_batch // found.group % partitions == 0


def test_size_that_is_given_decides_the_evaluation() -> None:
    """A given size determines the evaluation size; of several sizes the last one does."""
    facts = Facts(1_000, 10, 64)
    own = finetune(facts).evaluate.size
    large = finetune(facts, "augment.size=512")
    assert (large.augment.size, large.evaluate.size) == (512, 544)
    assert finetune(facts, "augment.size=1024").evaluate.size == 1024
    assert finetune(facts, "augment.sizes=[[0.0, 64], [0.5, 512]]").evaluate.size == 544
    assert finetune(facts, "augment.size=512", f"evaluate.size={own}").evaluate.size == own


@pytest.mark.parametrize("name", sorted(set(shipped_recipes()) - {"finetune", "convnext-tiny", "resnet50"}))
def test_recipe_of_numbers_stays_as_it_is(name: str) -> None:
    """No fact about a set changes a given number, or the order in which a recipe is written."""
    recipe = load_recipe(name)
    assert automatic_keys(recipe) == []
    for facts in (Facts(0, 1, 0), Facts(500_000, 1_000, 500)):
        assert settle(recipe, facts, name).toml() == recipe.toml()


def test_finetune_leaves_open_what_may_be() -> None:
    """The default recipe has "auto" for every key that allows it, and each of these keys accepts a number."""
    assert automatic_keys(load_recipe("finetune")) == list(AUTOMATIC)
    for key in AUTOMATIC:
        assert automatic_keys(load_recipe("finetune", [f"{key}=32"])) == [one for one in AUTOMATIC if one != key]


def test_set_without_images_is_refused() -> None:
    """Without training images there is nothing to derive the numbers from."""
    with pytest.raises(UsageError, match=r"recipe mine: train\.epochs = auto, but there are no training images"):
        settle(load_recipe("finetune"), Facts(0, 3, 0), "mine")


def test_numbers_that_do_not_fit_are_refused_by_name() -> None:
    """A warm-up longer than the chosen epochs gives the same error as with given epochs."""
    with pytest.raises(UsageError, match=r"recipe finetune: optim\.warmup_epochs = 50 must be less than train\.epochs"):
        finetune(Facts(1_000, 10, 64), "optim.warmup_epochs=50")


def test_page_has_the_tables() -> None:
    """docs/recipes.md has the tables that `python -m tests.project.automatic_tables` writes."""
    assert written() == tables()
