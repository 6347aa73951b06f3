"""`headrace report`: writes an HTML page about one training run or several."""

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
    help="The HTML file to write. Default for one run: report.html in RUN. For several runs, --out is required.",
)
def report_command(runs: tuple[Path, ...], out: Path | None) -> None:
    """Write an HTML page about the training run in the folder RUN, or a page that compares several runs.

    The page is one file without scripts or external content. During training, a run updates its page after each epoch.
    """
    from headrace.train.record.page.write import write_page

    print_result(f"wrote {write_page(runs, out)}")
