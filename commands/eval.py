"""`headrace eval`: measures the accuracy of a checkpoint on a split."""

import json
import sys
from pathlib import Path

import click

from headrace.commands.examples import examples
from headrace.commands.location import LocationType
from headrace.commands.machine_options import device_option, nproc_option
from headrace.commands.patience import told_if_slow
from headrace.commands.platform import need_linux
from headrace.commands.recipe_options import settings_option
from headrace.shards.streams import print_result
from headrace.shards.urls import Location


@click.command("eval", epilog=examples("headrace eval runs/mine shards/mine --out evaluated"))
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("shards", metavar="SHARDS", type=LocationType())
@click.option(
    "--split", default="val", show_default=True, metavar="NAME", help="The split on which accuracy is measured."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Also write to FOLDER: validation.parquet (predictions), mistakes.csv, confusion.csv (confusion matrix) and "
    "sheet.png (pictures of mistakes).",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the results as one JSON object, with the recall and precision of each class.",
)
@nproc_option
@settings_option("Change a value of the checkpoint's recipe.")
@device_option()
def eval_command(
    checkpoint: Path,
    shards: Location,
    split: str,
    out: Path | None,
    as_json: bool,
    nproc: int,
    settings: tuple[str, ...],
    device: str | None,
) -> None:
    """Measure the accuracy of CHECKPOINT on one split of the shard set SHARDS, with the recipe of its training run.

    CHECKPOINT is a file or a run folder; SHARDS is a folder or a URL. The command prints accuracy, loss, top-5 accuracy
    and the calibration error (15 bins, Guo et al. 2017).
    """
    need_linux("eval")
    from headrace.train.machine.parent import stop_with_launcher

    stop_with_launcher()
    from headrace.train.machine.openmp import spin_briefly

    spin_briefly()  # before torch is loaded
    with told_if_slow():
        from headrace.train.evaluate.files import write_files
        from headrace.train.machine.launch import launch
        from headrace.train.machine.world import World
        from headrace.train.record.metrics import Metrics
        from headrace.train.run.evaluation import Evaluation, check_first, evaluate

    settings += () if device is None else (f"runtime.device={device}",)
    asked = Evaluation(checkpoint, shards, settings, split)
    if nproc > 1 and not World.launched():
        sys.exit(launch(nproc, ("-P", "-m", "headrace", *sys.argv[1:]), check_first(asked, nproc)))
    measured = evaluate(asked)
    if measured.predictions is None:  # only rank 0 has them
        return
    metrics = Metrics.of(measured.predictions)
    lines = [measured.line(), *metrics.lines(measured.predictions)]
    written = write_files(out, measured.predictions, measured.shards) if out is not None else []
    if as_json:
        print_result(json.dumps(metrics.record(measured.predictions)))
    else:
        print_result("\n".join([*lines, *written]))
