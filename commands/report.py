"""`headrace report`: writes a page about runs."""

from pathlib import Path

import click

from headrace.commands.examples import examples
from headrace.shards.streams import print_result


@click.command(
    "report", epilog=examples("headrace report runs/mine", "headrace report runs/mine runs/drawn --out compared.html")
)
@click.argument("runs", metavar="RUN...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write the page. Default for one RUN: report.html in it.",
)
def report_command(runs: tuple[Path, ...], out: Path | None) -> None:
    """Write a page about the run in the folder RUN, or one that compares several runs.

    The page is one HTML file without scripts or external content. A run renews its own page after each epoch.
    """
    from headrace.train.record.page.write import write_page

    print_result(f"wrote {write_page(runs, out)}")
