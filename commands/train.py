"""`headrace train`: trains a model on a shard set."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from headrace.commands.choice import choice
from headrace.commands.examples import examples
from headrace.commands.location import LocationType
from headrace.commands.machine_options import device_option, nproc_option
from headrace.commands.patience import told_if_slow
from headrace.commands.platform import need_linux
from headrace.commands.recipe_options import recipe_option, settings_option
from headrace.shards.errors import UsageError
from headrace.shards.streams import say


@click.command(
    "train",
    epilog=examples(
        "headrace train shards/mine --out runs/mine",
        "headrace train shards/drawn --recipe demo --nproc 2 --set train.epochs=1 --out runs/drawn",
        "headrace train shards/drawn --out runs/drawn --resume auto",
    ),
)
@click.argument("shards", metavar="SHARDS", type=LocationType())
@recipe_option("A shipped recipe or a TOML file. Default: finetune.")
@settings_option("Change a value of the recipe: --set train.epochs=5.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File with the initial weights. For a network of timm, it may also be a folder that timm saved.",
)
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The folder for the files of the run (default: runs/TIME-MODEL).",
)
@click.option(
    "--resume",
    is_flag=False,
    flag_value="last",
    metavar="[auto|PATH|URL]",
    help="Without a value: resume from the last checkpoint in --out. auto: as without a value, but start a new run if "
    "there is no checkpoint. PATH: resume from this checkpoint. URL: resume from a mirror (a run's copy in object "
    "storage).",
)
@click.option(
    "--override",
    multiple=True,
    type=click.Choice(["classes", "recipe", "shards"]),
    help="Resume even if this part (classes, recipe or shards) differs from the checkpoint. May be repeated.",
)
@click.option(
    "--deterministic",
    is_flag=True,
    help="Short for --set runtime.deterministic=true: repeating the run gives bit-identical weights.",
)
@click.option(
    "--until",
    type=float,
    metavar="PERCENT",
    help="Stop when validation reaches this accuracy, and print the time that the run needed for it.",
)
@nproc_option
@choice(
    "--launcher",
    "none|slurm",
    "slurm: each task that srun starts is a rank.",
)
@click.option(
    "--batch-per-process",
    type=click.IntRange(1),
    metavar="B",
    help="Samples per process in each step, instead of a fixed global batch. The result then depends on the number of "
    "processes, as in plain DDP.",
)
@click.option(
    "--profile",
    type=click.IntRange(1, 50),
    metavar="STEPS",
    help="Trace this many steps with torch.profiler. Each rank writes a file, which ui.perfetto.dev shows, to the run "
    "folder.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print only warnings and errors, on standard error.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the rows of metrics.jsonl, one JSON object per line, instead of text.",
)
@device_option()
def train_command(
    nproc: int,
    launcher: str,
    batch_per_process: int | None,
    device: str | None,
    deterministic: bool,
    until: float | None,
    quiet: bool,
    as_json: bool,
    settings: tuple[str, ...],
    **options: Any,
) -> None:
    """Train a network on the shard set SHARDS (a folder or a URL).

    For several processes on one machine, use --nproc. For several machines in a network that only trusted programs can
    reach, use torchrun or --launcher slurm (docs/clusters.md). The order of samples, the random draws and the updates
    do not depend on the number of processes. On SIGTERM, SIGINT or SIGHUP, the run saves a checkpoint and stops.
    """
    need_linux("train")
    from headrace.train.machine.parent import stop_with_launcher

    stop_with_launcher()  # before anything that takes time
    from headrace.train.machine.openmp import spin_briefly
    from headrace.train.run.request import Request

    spin_briefly()  # before torch is loaded
    if options["profile"] is not None:
        os.environ.setdefault(
            "KINETO_LOG_LEVEL", "99"
        )  # torch reads it when it is loaded; without it the profiler prints messages when it starts
    short = {
        "train.batch_per_process": batch_per_process,
        "train.until": until,
        "runtime.device": device,
        "runtime.deterministic": "true" if deterministic else None,
    }
    settings += tuple(f"{key}={value}" for key, value in short.items() if value is not None)
    if quiet and as_json:
        raise UsageError("--quiet prints nothing, but --json prints rows: give only one of them")
    request = Request(settings=settings, show="quiet" if quiet else "json" if as_json else "lines", **options)
    request.refuse_early()  # before the imports below, which take seconds
    if launcher == "slurm" and nproc > 1:
        raise UsageError(
            "--launcher slurm uses the processes that srun starts: omit --nproc and give srun --ntasks instead"
        )

    with told_if_slow():
        from headrace.train.machine.launch import launch
        from headrace.train.machine.signals import StoppedError, exit_code
        from headrace.train.machine.slurm import refuse_several, task_of
        from headrace.train.machine.world import World
        from headrace.train.run.preflight import preflight
        from headrace.train.run.training import train

    if launcher == "slurm":
        World.follow(task_of(os.environ))
    elif not World.launched():
        refuse_several(os.environ)
    if nproc > 1 and not World.launched():
        told = preflight(request, nproc)
        sys.exit(launch(nproc, ("-P", "-m", "headrace", *sys.argv[1:]), told))
    try:
        train(request)
    except StoppedError as stopped:
        if World.from_environment().is_main:
            say(f"headrace: {stopped}", error=True)
        sys.exit(exit_code(stopped.number))
