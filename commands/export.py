"""`headrace export`: writes a trained network for other programs."""

from pathlib import Path

import click

from headrace.commands.examples import examples
from headrace.commands.location import LocationType
from headrace.shards.streams import print_result
from headrace.shards.urls import Location


@click.command("export", epilog=examples("headrace export runs/mine exported --format torch"))
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "kind",
    type=click.Choice(["timm", "safetensors", "onnx", "torch"]),
    default="timm",
    show_default=True,
    help="timm: a folder that timm and transformers load. safetensors: only the weights, with the names of the "
    "checkpoint. onnx, torch: the network as an ONNX or torch graph that also normalises the pixels.",
)
@click.option(
    "--check",
    type=LocationType(),
    metavar="SHARDS|FOLDER",
    help="Images on which the written network is compared with the checkpoint. Default: the run's shard set, or noise "
    "if this set no longer exists.",
)
def export_command(checkpoint: Path, out: Path, kind: str, check: Location | None) -> None:
    """Write the network of CHECKPOINT (a file or a run folder) into the new folder OUT, with a MODEL_CARD.md.

    The written network is compared with the checkpoint on images before OUT appears.
    """
    from headrace.train.evaluate.export.export import export
    from headrace.train.run.process import keep_kernels_private

    keep_kernels_private()  # torch.export makes torch's folder too
    print_result("\n".join(export(checkpoint, out, kind, check)))
