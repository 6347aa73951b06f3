"""`headrace eval`: the accuracy of a checkpoint."""

from pathlib import Path

import click

from headrace.shards.streams import print_result


@click.command("eval")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("shards", metavar="SHARDS", type=click.Path(path_type=Path))
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a value of its recipe.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Short for --set runtime.device=...")
def eval_command(checkpoint: Path, shards: Path, settings: tuple[str, ...], device: str | None) -> None:
    """Measure CHECKPOINT on the validation split of SHARDS, with the recipe that it was trained with."""
    from headrace.train.machine.openmp import spin_briefly

    spin_briefly()  # before torch is loaded
    from headrace.train.machine.world import World
    from headrace.train.run.evaluation import evaluate

    settings += () if device is None else (f"runtime.device={device}",)
    line = evaluate(checkpoint, shards, settings).line()
    if World.from_environment().is_main:
        print_result(line)
