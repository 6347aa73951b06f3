"""`headrace recipes`: lists, prints and compares recipes."""

import click

from headrace.commands.examples import examples
from headrace.shards.streams import print_result


@click.group(
    "recipes",
    invoke_without_command=True,
    epilog=examples("headrace recipes show finetune", "headrace recipes diff finetune lite0-cpu"),
)
@click.pass_context
def recipes_command(context: click.Context) -> None:
    """List the shipped recipes with their measured results, print one recipe in full, or compare two recipes."""
    from headrace.train.recipe.catalogue import listing

    if context.invoked_subcommand is None:
        print_result(listing())


@recipes_command.command("show")
@click.argument("name")
def recipes_show_command(name: str) -> None:
    """Print the recipe NAME (a shipped recipe or a TOML file) with all its values, including defaults."""
    from headrace.train.recipe.recipe import load_recipe

    print_result(load_recipe(name).toml().removesuffix("\n"))


@recipes_command.command("diff")
@click.argument("one")
@click.argument("other")
def recipes_diff_command(one: str, other: str) -> None:
    """Print the keys whose values differ between the recipes ONE and OTHER, with both values."""
    from headrace.train.recipe.catalogue import differences

    print_result(differences(one, other))


@recipes_command.command("schema")
def recipes_schema_command() -> None:
    """Print the JSON schema of recipe files. With it, editors can check and complete TOML files."""
    from headrace.train.recipe.catalogue import schema

    print_result(schema())
