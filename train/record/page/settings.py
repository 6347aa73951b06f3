"""The values of runs beside one another: a recipe beside the shipped one, several runs, their environments."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from headrace.shards.errors import HeadraceError
from headrace.train.recipe.recipe import load_recipe, shipped_recipes
from headrace.train.record.page.facts import Facts

_WORDS = "about"  # the section that decides nothing


class Difference(NamedTuple):
    """A value that differs: its name, and what it is in each."""

    key: str
    values: list[str]


def from_shipped(facts: Facts) -> list[Difference] | None:
    """Where a run's recipe differs from the shipped one of its name; None if it has no such name."""
    if not facts.recipe or facts.about.recipe not in shipped_recipes():
        return None
    try:
        shipped = load_recipe(facts.about.recipe).model_dump(mode="json")
    except HeadraceError:
        return None
    return differences([flat(shipped), flat(facts.recipe)])


def between(runs: Sequence[Facts]) -> list[Difference]:
    """Where the recipes of several runs differ."""
    return differences([flat(one.recipe) for one in runs])


def between_environments(runs: Sequence[Facts]) -> list[Difference]:
    """Where their machines and versions differ."""
    return differences([environment_rows(one.environment) for one in runs])


def environment_rows(environment: Mapping[str, Any]) -> dict[str, str]:
    """What a run was made with, as one table."""
    versions = environment.get("versions")
    rows = {key: told(value) for key, value in environment.items() if key != "versions"}
    return (
        rows | {f"version of {key}": told(value) for key, value in (versions or {}).items()}
        if _is_table(versions)
        else rows
    )


def flat(recipe: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """A recipe as one table, "section.key" to value in words."""
    return {
        f"{section}.{key}": told(value)
        for section, values in recipe.items()
        if section != _WORDS and _is_table(values)
        for key, value in values.items()
    }


def differences(tables: Sequence[Mapping[str, str]]) -> list[Difference]:
    """The rows in which these tables differ; a value that one does not have is "none"."""
    keys = dict.fromkeys(key for table in tables for key in table)
    rows = [Difference(key, [table.get(key, "none") for table in tables]) for key in keys]
    return [row for row in rows if len(set(row.values)) > 1]


def told(value: Any) -> str:
    """A value as TOML has it, near enough for people."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(told(one) for one in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)
