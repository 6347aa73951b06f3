"""`headrace train`: from a shard set to a trained model."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from headrace.shards.errors import UsageError
from headrace.shards.streams import say


@click.command("train")
@click.argument("shards", metavar="SHARDS", type=click.Path(path_type=Path))
@click.option("--recipe", "-c", metavar="NAME|FILE", help="A shipped recipe or a TOML file. Default: finetune.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a value: --set train.epochs=5.")
@click.option("--weights", type=click.Path(path_type=Path), metavar="FILE", help="Begin with the weights in FILE.")
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), metavar="DIR", help="Run folder. Default: runs/TIME-MODEL."
)
@click.option(
    "--resume",
    is_flag=False,
    flag_value="last",
    metavar="[auto|PATH]",
    help="Go on from the last checkpoint in --out; auto: only where there is one; PATH: from that file.",
)
@click.option(
    "--override",
    multiple=True,
    type=click.Choice(["classes", "recipe", "shards"]),
    help="Resume although this differs from the checkpoint.",
)
@click.option("--deterministic", is_flag=True, help="Short for --set runtime.deterministic=true: the same bits again.")
@click.option("--until", type=float, metavar="PERCENT", help="Stop at this validation accuracy and print the time.")
@click.option("--nproc", type=click.IntRange(1), default=1, show_default=True, help="Processes, all on this machine.")
@click.option(
    "--batch-per-process",
    type=click.IntRange(1),
    metavar="B",
    help="Count the batch by the process, as plain DDP does: the result then depends on their number.",
)
@click.option(
    "--profile",
    type=click.IntRange(1, 50),
    metavar="STEPS",
    help="Write a trace of so many steps into the run folder, a file a rank, for ui.perfetto.dev.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print warnings and errors alone, on standard error.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line: the rows of metrics.jsonl.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Short for --set runtime.device=...")
def train_command(
    nproc: int,
    batch_per_process: int | None,
    device: str | None,
    deterministic: bool,
    until: float | None,
    quiet: bool,
    as_json: bool,
    settings: tuple[str, ...],
    **options: Any,
) -> None:
    """Train on the shard set in the folder SHARDS.

    Use --nproc for several processes on one machine, and torchrun for several machines in a closed network.
    Order, draws and updates are the same for any number of processes. SIGTERM, SIGINT and SIGHUP save, then stop.
    """
    from headrace.train.machine.parent import stop_with_launcher

    stop_with_launcher()  # before all that takes time
    from headrace.train.machine.openmp import spin_briefly
    from headrace.train.run.request import Request

    spin_briefly()  # before torch is loaded
    if options["profile"] is not None:
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # read then: else the profiler prints where it starts
    short = {
        "train.batch_per_process": batch_per_process,
        "train.until": until,
        "runtime.device": device,
        "runtime.deterministic": "true" if deterministic else None,
    }
    settings += tuple(f"{key}={value}" for key, value in short.items() if value is not None)
    if quiet and as_json:
        raise UsageError("--quiet prints nothing and --json prints rows: give one of them")
    request = Request(settings=settings, show="quiet" if quiet else "json" if as_json else "lines", **options)
    request.refuse_early()  # before what follows, which takes seconds to load

    from headrace.train.machine.launch import launch
    from headrace.train.machine.signals import StoppedError, exit_code
    from headrace.train.machine.world import World
    from headrace.train.run.preflight import preflight
    from headrace.train.run.training import train

    if nproc > 1 and not World.launched():
        told = preflight(request, nproc)
        sys.exit(launch(nproc, ("-P", "-m", "headrace", *sys.argv[1:]), told))
    try:
        train(request)
    except StoppedError as stopped:
        if World.from_environment().is_main:
            say(f"headrace: {stopped}", error=True)
        sys.exit(exit_code(stopped.number))
