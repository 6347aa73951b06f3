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
    help="Format of the written network. timm: a folder that timm and transformers can load. safetensors: only the "
    "weights, with the names that they have in the checkpoint. onnx, torch: a graph of ONNX or torch.export, which "
    "includes the normalisation of pixels.",
)
@click.option(
    "--check",
    type=LocationType(),
    metavar="SHARDS|FOLDER",
    help="Compare the written network with the checkpoint's network on these images. Default: the shard set of the "
    "training run, or random noise if this set no longer exists.",
)
def export_command(checkpoint: Path, out: Path, kind: str, check: Location | None) -> None:
    """Write the network of CHECKPOINT (a file or a run folder) into the new folder OUT, with a MODEL_CARD.md.

    Before OUT appears, the outputs of the written network on some images are compared with those of the checkpoint's
    network.
    """
    from headrace.train.evaluate.export.export import export
    from headrace.train.run.process import keep_kernels_private

    keep_kernels_private()  # torch.export makes torch's folder too
    print_result("\n".join(export(checkpoint, out, kind, check)))
