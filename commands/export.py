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
    help="timm opens in timm and transformers; onnx and torch include the normalisation.",
)
@click.option(
    "--check",
    type=LocationType(),
    metavar="SHARDS|FOLDER",
    help="Images for the comparison. Default: the shard set of the run if it still exists, else noise.",
)
def export_command(checkpoint: Path, out: Path, kind: str, check: Location | None) -> None:
    """Write the network of CHECKPOINT, a file or a run folder, into the new folder OUT, with a MODEL_CARD.md.

    The result is compared with the checkpoint before OUT appears.
    """
    from headrace.train.evaluate.export.export import export

    print_result("\n".join(export(checkpoint, out, kind, check)))
