"""Compares settings: a recipe with the shipped recipe, the recipes of several runs, and their environments."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from headrace.shards.errors import HeadraceError
from headrace.train.recipe.recipe import load_recipe, shipped_recipes
from headrace.train.record.page.facts import Facts

_WORDS = "about"  # the section without effect on a run


class Difference(NamedTuple):
    """A setting that differs between runs: its key, and its value in each run as text."""

    key: str
    values: list[str]


def from_shipped(facts: Facts) -> list[Difference] | None:
    """Return the differences of a run's recipe from the shipped recipe of the same name; None without such a recipe."""
    if not facts.recipe or facts.about.recipe not in shipped_recipes():
        return None
    try:
        shipped = load_recipe(facts.about.recipe).model_dump(mode="json")
    except HeadraceError:
        return None
    return differences([flat(shipped), flat(facts.recipe)])


def between(runs: Sequence[Facts]) -> list[Difference]:
    """Return the differences between the recipes of several runs."""
    return differences([flat(one.recipe) for one in runs])


def between_environments(runs: Sequence[Facts]) -> list[Difference]:
    """Return the differences between the machines and the installed versions of several runs."""
    return differences([environment_rows(one.environment) for one in runs])


def environment_rows(environment: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment of a run as one table, from key to value as text."""
    versions = environment.get("versions")
    rows = {key: told(value) for key, value in environment.items() if key != "versions"}
    return (
        rows | {f"version of {key}": told(value) for key, value in (versions or {}).items()}
        if _is_table(versions)
        else rows
    )


def flat(recipe: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return a recipe as one table, from "section.key" to the value as text."""
    return {
        f"{section}.{key}": told(value)
        for section, values in recipe.items()
        if section != _WORDS and _is_table(values)
        for key, value in values.items()
    }


def differences(tables: Sequence[Mapping[str, str]]) -> list[Difference]:
    """Return the rows in which the tables differ; a missing value is shown as "none"."""
    keys = dict.fromkeys(key for table in tables for key in table)
    rows = [Difference(key, [table.get(key, "none") for table in tables]) for key in keys]
    return [row for row in rows if len(set(row.values)) > 1]


def told(value: Any) -> str:
    """Return a value as text for people, in a form close to TOML."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(told(one) for one in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)
