"""`headrace runs`: lists the training runs in a folder."""

from pathlib import Path

import click

from headrace.commands.examples import examples
from headrace.shards.streams import print_result


@click.command("runs", epilog=examples("headrace runs runs"))
@click.argument("folder", metavar="[FOLDER]", type=click.Path(path_type=Path), default=Path("runs"))
@click.option("--json", "as_json", is_flag=True, help="Print the list as one JSON object instead of a table.")
def runs_command(folder: Path, as_json: bool) -> None:
    """List the training runs in FOLDER (default: runs), sorted by validation accuracy, the best run first."""
    from headrace.train.record.listing import as_object, as_table, find_runs

    found = find_runs(folder)
    print_result(as_object(found) if as_json else as_table(found))
