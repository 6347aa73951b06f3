"""A recipe with "auto" on a shard set: in the plan, in the run folder, in checkpoints, and at a resume."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.shards.errors import DataError, UsageError
from headrace.shards.order import Windows
from headrace.shards.shardset import ShardSet
from headrace.train.checkpoint import files
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.evaluate.trained import own_recipe
from headrace.train.recipe import window
from headrace.train.recipe.automatic import Facts, refuse_other_sides, settle
from headrace.train.recipe.preferred import Preferred
from headrace.train.recipe.recipe import load_recipe
from headrace.train.recipe.settled import AUTOMATIC, Settled, automatic_keys, value_of
from headrace.train.run import settling
from headrace.train.run.request import DEFAULT_RECIPE, Request
from headrace.train.run.resolve import Setup, open_run_folder, resolve
from headrace.train.run.settling import facts_of
from tests.checkout import ROOT
from tests.train.run.test_resolve import saved

OLD = ROOT / "tests" / "formats" / "c122ade"
FACTS = Facts(480, 12, 64)
NUMBERS = {"train.epochs": 7, "train.global_batch": 24, "train.group": 12, "augment.size": 96, "evaluate.size": 64}


@pytest.fixture
def request_(tiny_set: Path, tmp_path: Path) -> Request:
    """Return a request that names no recipe."""
    return Request(tiny_set, out=tmp_path / "run")


def begun(request: Request, **changes: Any) -> Path:
    """Return the folder of a run of the default recipe whose numbers an earlier version chose differently."""
    other = Settled.of(load_recipe(DEFAULT_RECIPE), NUMBERS, "finetune")
    return saved(request, recipe=other.model_dump(mode="json", exclude_none=True) | changes)


def test_default_recipe_is_settled_by_the_set(request_: Request) -> None:
    """Without a named recipe, finetune is used with numbers for this set, which are printed with the reason."""
    setup = resolve(request_, 1)
    assert facts_of(setup.shards) == FACTS
    assert setup.recipe == settle(load_recipe("finetune"), FACTS, "finetune")
    for key, number in setup.recipe.numbers().items():
        assert f"{key} = {number}" in setup.chosen
    assert setup.chosen.endswith("for 480 training images of 12 classes, median side 64 px")


def test_numbers_do_not_depend_on_the_processes(request_: Request) -> None:
    """The recipe is the same on one process, on two, and on as many as there are groups."""
    one = resolve(request_, 1)
    groups = one.steps.groups
    assert resolve(request_, groups).recipe == one.recipe
    with pytest.raises(UsageError, match=f"start at most {groups}"):
        resolve(request_, groups + 1)


def test_run_folder_has_the_numbers(request_: Request) -> None:
    """recipe.toml has the numbers that were used, so it trains the same on any set."""
    setup = resolve(request_, 1)
    open_run_folder(setup)
    written = load_recipe(str(setup.out / "recipe.toml"))
    assert automatic_keys(written) == []
    assert written.model_dump() == setup.recipe.model_dump()


def test_recipe_of_numbers_says_nothing(request_: Request) -> None:
    """If all numbers are given, no line is printed, and the index is not read for them."""
    assert resolve(replace(request_, recipe="demo"), 1).chosen == ""


@pytest.mark.parametrize("recipe", [None, "finetune"])
def test_resume_takes_the_numbers_of_the_checkpoint(request_: Request, recipe: str | None) -> None:
    """A resume uses the checkpoint's numbers, named recipe or not, whatever this version would choose."""
    begun(request_)
    setup = resolve(replace(request_, recipe=recipe, resume="last"), 1)
    assert setup.resumed is not None
    assert setup.recipe == setup.resumed.recipe
    assert setup.recipe.numbers() == NUMBERS
    assert setup.warnings == ()
    assert setup.chosen.endswith("as at the start of the run") == (recipe is not None)


def test_auto_by_setting_is_the_checkpoints_number(request_: Request) -> None:
    """At a resume, setting a key to auto changes nothing; setting it to a number does."""
    begun(request_)
    asked = replace(request_, resume="last", settings=("train.epochs=auto",))
    assert resolve(asked, 1).recipe.train.epochs == 7
    with pytest.raises(UsageError, match=r"train\.epochs was 7, now 9"):
        resolve(replace(asked, settings=("train.epochs=9",)), 1)


def test_other_recipe_is_still_another(request_: Request) -> None:
    """Differences in given values are still found."""
    begun(request_)
    asked = replace(request_, recipe="finetune", settings=("optim.lr=0.5",), resume="last")
    with pytest.raises(UsageError, match=r"the recipe differs: optim\.lr was"):
        resolve(asked, 1)


def test_checkpoint_holds_no_auto(request_: Request) -> None:
    """A checkpoint with auto was not written by a run: it is damaged, and the error names the key."""
    begun(request_, train={"epochs": "auto", "global_batch": 24, "group": 12})
    with pytest.raises(DataError, match=r"train\.epochs"):
        resolve(replace(request_, resume="last"), 1)


def test_batch_counted_by_the_process_overrides_auto(request_: Request) -> None:
    """batch_per_process determines batch and group; the other numbers are chosen."""
    setup = resolve(replace(request_, settings=("train.batch_per_process=20",)), 3)
    assert (setup.recipe.train.global_batch, setup.recipe.train.group) == (60, 20)
    assert setup.recipe.train.epochs == settle(load_recipe("finetune"), FACTS, "finetune").train.epochs


@pytest.mark.parametrize("name", ["set", "adopted"])
def test_sets_of_format_1_have_what_is_needed(name: str) -> None:
    """A set written by commit c122ade has the sides of its images."""
    shards = ShardSet.open(OLD / name)
    facts = facts_of(shards)
    sides = sorted(min(side) for split in [shards["train"]] for side in zip(split.widths, split.heights, strict=True))
    assert facts == Facts(len(sides), len(shards.class_ids), sides[(len(sides) - 1) // 2])
    assert set(settle(load_recipe("finetune"), facts, "finetune").numbers()) == set(AUTOMATIC)


def test_damaged_index_is_named(request_: Request, tmp_path: Path) -> None:
    """The index, which has the sides, is checked before anything starts."""
    copy = Path(shutil.copytree(str(request_.shards), tmp_path / "copy"))
    index = copy / "train.parquet"
    index.write_bytes(index.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"train\.parquet"):
        resolve(replace(request_, shards=copy), 1)


def test_evaluation_takes_the_checkpoints_numbers(request_: Request) -> None:
    """Setting a key to auto in `headrace eval` gives the size that the run was evaluated at."""
    checkpoint = Checkpoint.of(files.load(begun(request_) / "last.pt"))
    assert own_recipe(checkpoint, ("evaluate.size=auto",)).evaluate.size == NUMBERS["evaluate.size"]
    assert own_recipe(checkpoint, ("evaluate.size=96",)).evaluate.size == 96


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat a set of more than 100 training images as very large, with windows of at least 150 images."""
    monkeypatch.setattr(settling, "LARGE", 100)
    monkeypatch.setattr(window, "LARGE", 100)
    monkeypatch.setattr(window, "IN_A_WINDOW", 150)
    monkeypatch.setattr(window, "FEWEST_SHARDS", 1)


@pytest.fixture
def demo(request_: Request) -> Request:
    """Return a request whose recipe leaves only the window open."""
    return replace(request_, recipe="demo", settings=("train.global_batch=48", "train.group=24"))


def set_from(setup: Setup) -> Path:
    """Open the run folder of a plan, with a checkpoint."""
    open_run_folder(setup)
    return saved(setup.request, recipe=setup.recipe.model_dump(mode="json", exclude_none=True))


@pytest.mark.usefixtures("windows")
def test_very_large_set_gets_a_window(demo: Request) -> None:
    """The window is printed, used, and written to the run's recipe."""
    setup = resolve(demo, 1)
    assert setup.recipe.train.window == 2
    assert setup.chosen == "train.window = 2 of 5 shards: for 480 training images"
    assert setup.order(setup.shards.split("train")).windows == Windows(2, (96,) * 5)
    open_run_folder(setup)
    assert load_recipe(str(setup.out / "recipe.toml")).train.window == 2


@pytest.mark.usefixtures("windows")
def test_window_is_said_with_the_other_numbers(request_: Request) -> None:
    """The window is printed in the same line as the other numbers."""
    said = resolve(request_, 1).chosen
    assert "median side 64 px; train.window = 2 of 5 shards" in said
    assert "\n" not in said


@pytest.mark.usefixtures("windows")
def test_window_of_the_recipe_stays(demo: Request) -> None:
    """A given window is used without a message, even if it is the whole set."""
    for given in (1, 3, 5):
        setup = resolve(replace(demo, settings=(*demo.settings, f"train.window={given}")), 1)
        assert (setup.recipe.train.window, setup.chosen) == (given, "")


def test_other_sets_get_none(demo: Request) -> None:
    """Nothing is chosen, printed or written."""
    setup = resolve(demo, 1)
    assert (setup.recipe.train.window, setup.chosen) == (None, "")
    open_run_folder(setup)
    assert "window" not in (setup.out / "recipe.toml").read_text()


@pytest.mark.usefixtures("windows")
@pytest.mark.parametrize("recipe", [None, "demo"])
def test_resume_keeps_the_window(demo: Request, recipe: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resume keeps the window, whether or not the recipe is named; another window is a difference."""
    set_from(resolve(demo, 1))
    monkeypatch.setattr(window, "IN_A_WINDOW", 300)
    again = replace(demo, recipe=recipe, settings=demo.settings if recipe else (), resume="last")
    setup = resolve(again, 1)
    assert setup.resumed is not None
    assert setup.recipe == setup.resumed.recipe
    assert setup.recipe.train.window == 2
    assert (setup.chosen == "train.window = 2 of 5 shards: as at the start of the run") == (recipe is not None)
    with pytest.raises(UsageError, match=r"train\.window was 2, now 4"):
        resolve(replace(again, settings=(*again.settings, "train.window=4")), 1)


@pytest.mark.parametrize("recipe", [None, "demo"])
def test_checkpoint_without_a_window_means_the_whole_set(
    demo: Request, recipe: str | None, request: pytest.FixtureRequest
) -> None:
    """A run of an earlier version, which chose no window, continues in its order."""
    run = set_from(resolve(demo, 1))
    request.getfixturevalue("windows")
    assert "window" not in files.load(run / "last.pt").state["recipe"]["train"]
    setup = resolve(replace(demo, recipe=recipe, settings=demo.settings if recipe else (), resume="last"), 1)
    assert (setup.recipe.train.window, setup.chosen) == (None, "")
    assert setup.order(setup.shards.split("train")).windows is None


def test_model_is_what_the_weights_want(request_: Request) -> None:
    """With "model", size, filter and crop are the weights' own; given numbers win; both are printed and stored."""
    keys = ("augment.size", "augment.interpolation", "evaluate.size", "evaluate.crop")
    words = tuple(f"{key}=model" for key in keys)
    asked = replace(request_, recipe="demo", settings=(*words, "model.name=efficientnet-lite2"))
    setup = resolve(asked, 1)
    assert tuple(value_of(setup.recipe, key) for key in keys) == (260, "bicubic", 260, 0.89)
    assert setup.chosen.endswith("evaluate.crop = 0.89: as preferred by efficientnet-lite2")
    setup = resolve(replace(asked, settings=(*asked.settings, "augment.size=96", "evaluate.size=auto")), 1)
    assert (setup.recipe.augment.size, setup.recipe.evaluate.size, setup.recipe.evaluate.crop) == (96, 128, 0.89)
    assert "evaluate.size = 128: for 480 training images" in setup.chosen


def test_networks_of_one_size_take_no_other() -> None:
    """Schedules and other sides are refused with the side that the network accepts."""
    fixed = Preferred((124.0, 116.0, 104.0), (58.0, 57.0, 57.0), 224, 224, 0.9, "bicubic", fixed=True)
    for settings, words in (
        (("augment.sizes=[[0.0, 96], [0.5, 224]]", "evaluate.size=224"), "it cannot have a schedule of sizes"),
        (
            ("augment.size=96", "evaluate.size=128"),
            r"augment\.size = 96, evaluate\.size = 128: .* images of 224 px",
        ),
    ):
        recipe = settle(load_recipe("demo", settings), FACTS, "demo")
        with pytest.raises(UsageError, match=words):
            refuse_other_sides(recipe, fixed)
    chosen = settle(load_recipe("finetune"), FACTS, "finetune", fixed)
    assert (chosen.augment.size, chosen.evaluate.size) == (224, 224)
    refuse_other_sides(chosen, fixed)
