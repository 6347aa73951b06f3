"""`headrace report`: runs as a page."""

from pathlib import Path

import click

from headrace.shards.streams import print_result


@click.command("report")
@click.argument("runs", metavar="RUN...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write the page. Default, with one RUN: report.html in it.",
)
def report_command(runs: tuple[Path, ...], out: Path | None) -> None:
    """Write a page of the run in the folder RUN, or one that compares several runs.

    The page is one HTML file, without script or anything from elsewhere. A run renews its own after each epoch.
    """
    from headrace.train.record.page.write import write_page

    print_result(f"{write_page(runs, out)} is written")
