import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from headrace.shards.errors import UsageError
from headrace.train.recipe.recipe import Recipe, load_recipe, shipped_recipes
from headrace.train.recipe.values import OwnNetwork

SECTIONS = {
    name: field.annotation
    for name, field in Recipe.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}


def refusal(*settings: str, name: str = "demo") -> str:
    """Return the error about settings that are not valid."""
    with pytest.raises(UsageError) as caught:
        load_recipe(name, settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_load_and_survive_writing(name: str, tmp_path: Path) -> None:
    """Every shipped recipe is valid, and equal to itself after it is written and read again."""
    recipe = load_recipe(name)
    file = tmp_path / "written.toml"
    file.write_text(recipe.toml(), encoding="utf-8")
    assert load_recipe(str(file)) == recipe


def test_recipes_are_shipped() -> None:
    """The default recipe and the demo recipe are shipped, so the test above covers real recipes."""
    assert {"b0-224", "demo"} <= set(shipped_recipes())


def test_written_recipe_has_every_value() -> None:
    """A recipe that a run saves has every value, so later versions' defaults cannot change it."""
    written = tomllib.loads(Recipe().toml())
    for section in SECTIONS:
        values = getattr(Recipe(), section).model_dump(mode="json")
        assert written[section] == {key: value for key, value in values.items() if value is not None}


@given(
    epochs=st.integers(1, 100_000),
    group=st.integers(1, 100),
    groups=st.integers(1, 100),
    lr=st.floats(1e-12, 1e6),
    area=st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)),
    schedule=st.sampled_from(["constant", "cosine", "linear"]),
    half_life=st.none() | st.integers(1, 10**9),
)
def test_any_recipe_survives_writing(area: tuple[float, float], **values: Any) -> None:
    """All numbers are bit-identical after writing and reading."""
    recipe = Recipe.model_validate(
        {
            "train": {
                "epochs": values["epochs"],
                "group": values["group"],
                "global_batch": values["group"] * values["groups"],
            },
            "augment": {"crop_area": sorted(area)},
            "optim": {"lr": values["lr"], "schedule": values["schedule"], "ema_half_life": values["half_life"]},
        }
    )
    assert Recipe.model_validate(tomllib.loads(recipe.toml())) == recipe


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("train.epochs=0", ("train.epochs", "greater than or equal to 1", "not 0")),
        ("train.epochs=many", ("train.epochs", "integer", "'many'")),
        ("train.group=5", ("train", "group = 5 does not divide global_batch", "these do: [1, 2, 4,")),
        ("train.partitions=3", ("train", "partitions = 3 does not divide the 2 groups", "these do: [1, 2]")),
        ("train.seed=-1", ("train.seed", "greater than or equal to 0", "-1")),
        ("train.label_smoothing=1.0", ("train.label_smoothing", "less than 1", "1.0")),
        (
            "model.name=resnet50",
            ("model.name", "'efficientnet-b0'", "'efficientnet-lite0'", "or timm/NAME", "'resnet50'"),
        ),
        ("model.init=imagenet", ("model.init", "'random', 'pretrained' or 'file'", "'imagenet'")),
        ("model.batch_norm_momentum=0", ("model.batch_norm_momentum", "greater than 0")),
        ("augment.size=31", ("augment.size", "greater than or equal to 32", 'or "auto", or "model"', "31")),
        ("evaluate.crop=1.5", ("evaluate.crop", "less than or equal to 1", 'or "model"', "1.5")),
        ("model.name=timm/../x", ("model.name", "match pattern", "timm/../x")),
        ("augment.size=2048", ("augment.size", "1024", "2048")),
        ("augment.crop_area=[0.9, 0.1]", ("augment", "crop_area is [0.9, 0.1]", "must not exceed")),
        ("augment.crop_area=[0.0, 0.1]", ("augment.crop_area.0", "greater than 0")),
        ("augment.crop_area=[0.1]", ("augment.crop_area.1", "required")),
        ("augment.flip=1.5", ("augment.flip", "less than or equal to 1", "1.5")),
        ("optim.lr=nan", ("optim.lr", "finite")),
        ("optim.lr=inf", ("optim.lr", "finite")),
        ("optim.lr=-0.1", ("optim.lr", "greater than 0", "-0.1")),
        ("optim.name=lamb", ("optim.name", "'sgd', 'adamw' or 'rmsprop'", "'lamb'")),
        ("optim.schedule=step", ("optim.schedule", "'constant', 'cosine' or 'linear'")),
        ("evaluate.crop=0", ("evaluate.crop", "greater than or equal to 0.1")),
        ("runtime.precision=fp8", ("runtime.precision", "'auto', 'fp32', 'tf32', 'bf16', 'fp16' or 'fp64'")),
        ("runtime.threads=0", ("runtime.threads", "greater than or equal to 1")),
        (
            "train.batch_size=3",
            ("train.batch_size: unknown key", "known keys: ", "epochs, global_batch"),
        ),
        ("training.epochs=3", ("training: unknown key", "known keys: ", "augment, evaluate, ", "train")),
        ("train.a.b=3", ("train.a.b: unknown key",)),
    ],
)
def test_bad_value_names_its_key_and_what_it_may_be(setting: str, parts: tuple[str, ...]) -> None:
    """The error is one line with the key, the allowed values and the given value."""
    said = refusal(setting)
    for part in ("recipe demo: ", *parts):
        assert part in said, said


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ('train.epochs="5"', "integer"),
        ("train.epochs=5.0", "integer"),
        ("train.epochs=true", "integer"),
        ("train.epochs=1979-05-27", "integer"),
        ('optim.lr="0.1"', "number"),
        ("optim.lr=true", "number"),
        ('augment.crop_area=["0.1", 1.0]', "number"),
        ('augment.sizes=[[0.0, "64"]]', "integer"),
        ("optim.nesterov=1", "boolean"),
        ('optim.nesterov="yes"', "boolean"),
        ("model.name=5", "'efficientnet-b0'"),
    ],
)
def test_value_of_another_type_is_refused(setting: str, kind: str) -> None:
    """A string that looks like a number, or a number in place of a boolean, is refused instead of converted."""
    said = refusal(setting)
    assert setting.split("=", maxsplit=1)[0] in said
    assert kind in said


def test_whole_numbers_are_floats_and_arrays_are_pairs() -> None:
    """Whole numbers are valid floats in TOML, and arrays are valid pairs."""
    recipe = load_recipe("demo", ["optim.lr=1", "augment.crop_area=[1, 1]", "augment.sizes=[[0, 32], [0.5, 64]]"])
    assert (recipe.optim.lr, recipe.augment.crop_area) == (1.0, (1.0, 1.0))
    assert recipe.augment.stages == ((0.0, 32), (0.5, 64))


def test_all_mistakes_are_named_at_once() -> None:
    """Two wrong keys are reported together, so that the user can correct both at once."""
    said = refusal("train.epochs=0", "optim.lr=0")
    assert "train.epochs" in said
    assert "optim.lr" in said


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_refuses_unknown_keys(section: str) -> None:
    """A misspelt key is never replaced by its default."""
    assert f"{section}.no_such_key: unknown key" in refusal(f"{section}.no_such_key=1")


def test_every_number_has_bounds() -> None:
    """Every key with a number refuses negative infinity, and the error names the key."""
    numbers = [
        f"{section}.{key}"
        for section, model in SECTIONS.items()
        for key, field in model.model_fields.items()
        if isinstance(field.default, float | int) and not isinstance(field.default, bool)
    ]
    assert len(numbers) > 15
    for key in numbers:
        assert key in refusal(f"{key}=-1e300")


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ("epochs=5", "expected section.key=value"),
        ("train.epochs", "expected section.key=value"),
        ("", "expected section.key=value"),
    ],
)
def test_setting_of_another_form_is_refused(setting: str, part: str) -> None:
    """The error about a setting without section, key or value gives an example."""
    assert part in refusal(setting)


def test_settings_apply_in_order_over_the_file() -> None:
    """Later settings win, strings need no quotes, and values keep their TOML types."""
    recipe = load_recipe(
        "demo", ["train.epochs=3", "train.epochs = 4", "model.name=efficientnet-b1", "optim.nesterov=true"]
    )
    assert (recipe.train.epochs, recipe.model.name, recipe.optim.nesterov) == (4, "efficientnet-b1", True)
    assert recipe.train.seed == load_recipe("demo").train.seed


def test_unknown_recipe_lists_the_shipped_ones() -> None:
    """The error about a name that is neither a file nor a recipe lists the shipped recipes."""
    said = refusal(name="b0-225")
    assert "neither a file nor a shipped recipe" in said
    assert "b0-224" in said


@pytest.mark.parametrize("content", [b"[train\nepochs = 3", b"\xff\xfe", b"a = " + b"[" * 5000])
def test_file_that_is_no_toml_is_refused(content: bytes, tmp_path: Path) -> None:
    """Invalid TOML, another encoding and endless nesting each give one line with the file's name."""
    file = tmp_path / "mine.toml"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"mine\.toml: not valid TOML"):
        load_recipe(str(file))


def test_value_in_place_of_a_section_is_refused(tmp_path: Path) -> None:
    """A number in place of a section is an error, with and without a setting in that section."""
    file = tmp_path / "mine.toml"
    file.write_text("train = 3\n")
    assert "train: " in refusal(name=str(file))
    assert "train is not a section" in refusal("train.epochs=3", name=str(file))


def test_runtime_does_not_decide_the_result() -> None:
    """Every section except `about` and `runtime` is part of the result."""
    assert Recipe().result().keys() == SECTIONS.keys() - {"about", "runtime"}


@pytest.mark.parametrize("processes", [1, 2, 6])
def test_batch_counts_in_samples_unless_asked_otherwise(processes: int) -> None:
    """Only `batch_per_process` makes a recipe depend on the number of processes."""
    plain = load_recipe("demo")
    assert plain.for_processes(processes) is plain
    counted = load_recipe("demo", ["train.batch_per_process=7"]).for_processes(processes)
    assert (counted.train.global_batch, counted.train.group) == (7 * processes, 7)
    assert Recipe.model_validate(counted.model_dump()) == counted


def test_every_model_has_a_builder() -> None:
    """Recipes accept the names B0 to B7 and Lite0 to Lite2."""
    names = get_args(OwnNetwork)
    assert names == (*(f"efficientnet-b{number}" for number in range(8)), *(f"efficientnet-lite{n}" for n in range(3)))
