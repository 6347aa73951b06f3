"""`headrace predict`: predicts the classes of images."""

import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headrace.commands.examples import examples
from headrace.commands.machine_options import device_option, nproc_option
from headrace.commands.patience import told_if_slow
from headrace.commands.platform import need_linux
from headrace.shards.counts import counted
from headrace.shards.errors import UsageError
from headrace.shards.streams import print_bytes, say

if TYPE_CHECKING:
    from headrace.prep.gather import Gathered
    from headrace.train.record.answers import Writing
    from headrace.train.run.prediction import Prediction

_PATHS = "HEADRACE_PATHS"  # variable with the path of a file that holds the launcher's standard input
_FORMATS = click.Choice(["csv", "json", "parquet"])


@click.command(
    "predict",
    epilog=examples(
        "headrace predict runs/mine other-photographs",
        "headrace predict runs/mine other-photographs --format parquet --out predicted.parquet",
    ),
)
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True)
@click.option("--format", "kind", type=_FORMATS, default="csv", show_default=True, help="Format of the output.")
@click.option(
    "--top-k",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Number of most likely classes to list for each image.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the predictions to FILE instead of standard output.",
)
@click.option(
    "--sheet",
    type=click.Path(path_type=Path),
    metavar="FILE.png",
    help="Also draw the first 60 images with their predicted classes to FILE.png.",
)
@nproc_option
@device_option("Device that runs the network.")
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
    """Predict the classes of IMAGES with CHECKPOINT (a file or a run folder).

    IMAGES are files, folders, globs, zips, tars, shard sets or listings. A listing is a file of image paths, without
    labels: CSV, JSON lines, Parquet or .txt (one path per line). With the argument -, paths are read from standard
    input, one per line. IMAGES may also be URLs, except for listings. The paths in a listing or on standard input may
    be URLs too. The output has the columns file, rank (1 for the likeliest class), label (the number of the class),
    class (its id), name (its name), probability and error. For an unreadable image, the output has a row with the
    error, and the exit code is 3.
    """
    need_linux("predict")
    from headrace.train.machine.parent import stop_with_launcher

    stop_with_launcher()
    from headrace.train.machine.openmp import spin_briefly

    spin_briefly()  # before torch is loaded
    with told_if_slow():
        from headrace.shards.paths import refuse_without_folder
        from headrace.shards.sheet import refuse_name
        from headrace.train.machine.world import World
        from headrace.train.run.prediction import Prediction

    if kind == "parquet" and out is None:
        raise UsageError("--format parquet makes a binary file, which is not printed: give --out FILE")
    if out is not None:
        refuse_without_folder(out)
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
        say(
            f"headrace: {told.unreadable:,} of {counted(len(gathered), 'image')} cannot be read; see column `error`",
            error=True,
        )
        sys.exit(3)


def _launch(asked: "Prediction", processes: int, *, listed: bool) -> int:
    """Start `processes` processes that predict; return the exit code of the launch.

    If `listed`, standard input has paths of images, and is copied to a file that all processes read.
    """
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
    """Predict the classes of `images`.

    Return the images found, and the writer of the predictions. The writer is None on all ranks but 0.
    """
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
    """Return the paths on standard input, or in the file to which the launching process has copied standard input."""
    named = os.environ.get(_PATHS)
    data = Path(named).read_bytes() if named else sys.stdin.buffer.read()
    return [os.fsdecode(line) for line in data.split(b"\n") if line]


def _draw(path: Path, checkpoint: Path, gathered: "Gathered", told: "Writing") -> None:
    """Draw the first images, each with its two most likely classes or its error, to the PNG file `path`."""
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
