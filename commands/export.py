"""`headrace export`: a trained network for others."""

from pathlib import Path

import click

from headrace.shards.streams import print_result


@click.command("export")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "kind",
    type=click.Choice(["timm", "safetensors", "onnx", "torch"]),
    default="timm",
    show_default=True,
    help="timm opens in timm and transformers; onnx and torch have the normalisation inside.",
)
@click.option(
    "--check",
    type=click.Path(path_type=Path),
    metavar="SHARDS|FOLDER",
    help="Images to compare on. Default: the shard set of the run, if it is there; else noise.",
)
def export_command(checkpoint: Path, out: Path, kind: str, check: Path | None) -> None:
    """Write the network of CHECKPOINT, a file or a run folder, into the new folder OUT, with a MODEL_CARD.md.

    What was written is compared with the checkpoint before it is there.
    """
    from headrace.train.evaluate.export.export import export

    print_result("\n".join(export(checkpoint, out, kind, check)))
