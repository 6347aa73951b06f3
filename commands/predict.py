"""`headrace predict`: what a checkpoint says of images."""

import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headrace.shards.errors import UsageError
from headrace.shards.streams import print_bytes, say

if TYPE_CHECKING:
    from headrace.prep.gather import Gathered
    from headrace.train.record.answers import Writing
    from headrace.train.run.prediction import Prediction

_PATHS = "HEADRACE_PATHS"  # a file with what the launcher read from standard input
_FORMATS = click.Choice(["csv", "json", "parquet"])


@click.command("predict")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True)
@click.option("--format", "kind", type=_FORMATS, default="csv", show_default=True, help="How the rows are written.")
@click.option("--top-k", type=click.IntRange(1), default=5, show_default=True, help="Labels of each image.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write there, not to standard output.")
@click.option("--sheet", type=click.Path(path_type=Path), metavar="FILE.png", help="Also draw the first 60 images.")
@click.option("--nproc", type=click.IntRange(1), default=1, show_default=True, help="Processes, all on this machine.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where the network runs.")
def predict_command(
    checkpoint: Path,
    images: tuple[str, ...],
    kind: str,
    top_k: int,
    out: Path | None,
    sheet: Path | None,
    nproc: int,
    device: str | None,
) -> None:
    """Say what CHECKPOINT, a file or a run folder, sees in IMAGES.

    IMAGES are files, folders, globs, zips, tars, shard sets, or listings, whose labels are not needed (a .txt has a
    path a line); - reads paths from standard input, one a line. The rows have file, rank, label, class, name,
    probability, error. An image that cannot be read is a row with its error, and the exit code is then 3.
    """
    from headrace.train.machine.parent import stop_with_launcher

    stop_with_launcher()
    from headrace.train.machine.openmp import spin_briefly

    spin_briefly()  # before torch is loaded
    from headrace.shards.sheet import refuse_name
    from headrace.train.machine.world import World
    from headrace.train.run.prediction import Prediction

    if kind == "parquet" and out is None:
        raise UsageError("--format parquet is no text: give --out FILE")
    if sheet is not None:
        refuse_name(sheet)
    asked = Prediction(checkpoint, () if device is None else (f"runtime.device={device}",), top_k)
    if nproc > 1 and not World.launched():
        sys.exit(_launch(asked, nproc, listed="-" in images))
    gathered, told = _predict(asked, images, kind, out)
    if told is None:
        return
    if sheet is not None:
        _draw(sheet, checkpoint, gathered, told)
    if told.unreadable:
        say(f"headrace: {told.unreadable:,} of {len(gathered):,} images cannot be read; their rows say why", error=True)
        sys.exit(3)


def _launch(asked: "Prediction", processes: int, *, listed: bool) -> int:
    """Have several processes do it; what standard input says goes to them in a file. The exit code."""
    from headrace.train.machine.launch import launch
    from headrace.train.run.prediction import check_first

    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        told = check_first(asked, processes)
        if listed:
            paths = Path(folder, "paths")
            paths.write_bytes(sys.stdin.buffer.read())
            told[_PATHS] = str(paths)
        return launch(processes, ("-P", "-m", "headrace", *sys.argv[1:]), told)


def _predict(
    asked: "Prediction", images: tuple[str, ...], kind: str, out: Path | None
) -> "tuple[Gathered, Writing | None]":
    """The images, and what was told of them; None on ranks that tell nothing."""
    from headrace.prep.command.progress import progress
    from headrace.prep.gather import gather
    from headrace.shards.store import replacing
    from headrace.train.machine.world import World
    from headrace.train.record.answers import Writing, table_of
    from headrace.train.run.prediction import predict

    world = World.from_environment()
    listed = _listed() if "-" in images else []
    gathered = gather([one for one in images if one != "-"], world.threads(None), listed)
    if not world.is_main:
        predict(asked, gathered, lambda _: None)
        return gathered, None
    with ExitStack() as stack:
        put = stack.enter_context(replacing(out)).write if out else print_bytes
        report = stack.enter_context(progress(len(gathered), "predict"))
        told = stack.enter_context(Writing(table_of(kind), put, report))
        predict(asked, gathered, told)
    return gathered, told


def _listed() -> list[str]:
    """The lines of standard input, or of what the launcher read there."""
    named = os.environ.get(_PATHS)
    data = Path(named).read_bytes() if named else sys.stdin.buffer.read()
    return [os.fsdecode(line) for line in data.split(b"\n") if line]


def _draw(path: Path, checkpoint: Path, gathered: "Gathered", told: "Writing") -> None:
    """The first images, with their two likeliest names or their error."""
    from headrace.shards.sheet import Tile, write_tiles

    tiles = []
    for place, answer in enumerate(told.first):
        pairs = zip(answer.names, answer.probabilities, strict=True)
        words = (
            [answer.error]
            if answer.error
            else [f"{name.split(',', 1)[0]} {100 * chance:.1f}%" for name, chance in pairs][:2]
        )
        tiles.append(Tile(gathered.pixels(place), (*words, Path(answer.file).name)))
    write_tiles(path, f"{checkpoint}: the first {len(tiles)} of {len(gathered):,} images", tiles)
