"""The `headrace` command. Options and words only: what a command does lives in its room."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from shards.errors import HeadraceError, error_line
from shards.streams import make_lasting, print_result, say, say_all

_ROOMS = ("prep", "shards", "train")
_INTERRUPTED = 130


class Commands(click.Group):
    """A group that lists its commands sorted and turns errors into one clear line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in alphabetical order."""
        return sorted(super().list_commands(ctx))

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line. What is printed to where nobody reads is lost; the work and its exit code are not."""
        make_lasting()
        return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. HEADRACE_DEBUG=1 shows the traceback of an expected error too."""
        try:
            _check_rooms()
            return super().invoke(ctx)
        except HeadraceError as error:
            if os.environ.get("HEADRACE_DEBUG") == "1":
                raise
            say(error_line(error), error=True)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            say("headrace: interrupted", error=True)
            sys.exit(_INTERRUPTED)


def _check_rooms() -> None:
    """The generic names must be our own packages, not a script of the same name in the current folder."""
    here = Path(__file__).resolve().parent
    for room in _ROOMS:
        spec = find_spec(room)
        found = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        if found is None or found.parent.parent != here:
            raise HeadraceError(
                f"the name '{room}' leads to {found}, not to Headrace's own package in {here}. Run from another "
                "folder, or install Headrace in an environment of its own"
            )


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="headrace", prog_name="headrace")
def main() -> None:
    """Bring images to the accelerator at full flow: make shard sets, check them, and train on them."""


@main.command("prep")
@click.argument("paths", nargs=-1, required=True, metavar="[SOURCE] OUT", type=click.Path(path_type=Path))
@click.option("--demo", is_flag=True, help="Draw a small data set by code (12 classes) instead of reading a SOURCE.")
@click.option("--download", type=click.Choice(["tiny-imagenet"]), help="Fetch this data set beside OUT, as SOURCE.")
@click.option("--seed", default=0, show_default=True, help="Seed of the permutation of samples.")
@click.option("--samples-per-shard", type=int, help="Samples in a shard. Default: as --shard-size says.")
@click.option("--shard-size", default=32, show_default=True, metavar="MB", help="Size of a shard, about, in megabytes.")
@click.option(
    "--workers", "-j", type=click.IntRange(1), help="Worker processes. Default: the CPU cores that are allowed."
)
@click.option("--classes", type=int, metavar="N", help="Only the first N classes.")
@click.option("--per-class", type=int, metavar="N", help="Only the first N images of each class in each split.")
@click.option("--val-fraction", type=float, metavar="F", help="Share of every class for validation, of one tree.")
@click.option("--max-side", type=int, metavar="PIXELS", help="Make images smaller whose longer side is above this.")
@click.option("--quality", default=95, show_default=True, help="Of JPEGs made here; those of the source are kept.")
@click.option(
    "--if-exists",
    type=click.Choice(["reuse", "error", "rebuild"]),
    default="reuse",
    show_default=True,
    help="When OUT exists: use it if source and options are the same, refuse, or make it again and swap it.",
)
@click.option(
    "--on-bad",
    type=click.Choice(["error", "skip"]),
    default="error",
    show_default=True,
    help="An image that does not decode ends the run, or is left out and listed in report.jsonl.",
)
def prep_command(
    paths: tuple[Path, ...], demo: bool, download: str | None, workers: int | None, if_exists: str, **options: Any
) -> None:
    """Convert a data set into a shard set in the folder OUT.

    SOURCE is a folder, zip or tar (read in place) with TinyImageNet in its official layout or with class-per-folder
    trees, or a listing (CSV or Parquet: path,label[,split]). Every image is decoded once; the bytes of JPEGs are kept,
    other formats become JPEGs. The same source and options give the same bytes for any number of workers; an
    interrupted run is continued by the same command.
    """
    from prep.convert import prep
    from prep.demo import demo_source
    from prep.download import OFFERS
    from prep.download import download as fetch
    from prep.options import Options
    from prep.summary import summary

    if demo and download:
        raise click.UsageError("give --demo or --download, not both")
    if len(paths) != (1 if demo or download else 2):
        want = f"OUT alone with {'--demo' if demo else '--download'}" if demo or download else "SOURCE and OUT"
        raise click.UsageError(f"give {want}; got {len(paths)} paths")
    chosen, source, out = Options(**options), paths[0], paths[-1]
    if demo:
        source = demo_source(out, chosen.seed, say=say, train=chosen.per_class, val=chosen.per_class)
    elif download:
        source = fetch(OFFERS[download], out.absolute().parent)
    processes = workers or len(os.sched_getaffinity(0))
    result = prep(source, out, chosen, workers=processes, if_exists=if_exists, say=say)
    say_all(summary(result, out))


@main.command("index")
@click.argument("root", metavar="TARS", type=click.Path(path_type=Path))
def index_command(root: Path) -> None:
    """Make a shard set of the WebDataset tars in the folder TARS, without rewriting them.

    Writes .idx, Parquet and manifest beside the tars. Samples need an image and a .cls member; those that cannot be
    used are left out and named in report.jsonl. In a set that is there already, damaged indexes are made again.
    """
    from prep.adopt import adopt
    from prep.summary import contents

    say_all(contents(adopt(root, say=say), root))


@main.command("inspect")
@click.argument("root", metavar="SHARDS", type=click.Path(path_type=Path))
@click.option(
    "--sheet", type=click.Path(path_type=Path), metavar="FILE.png", help="Also draw samples with their class names."
)
def inspect_command(root: Path, sheet: Path | None) -> None:
    """Say what is in the shard set SHARDS: counts, classes, sizes, equal images within and across splits."""
    from prep.figures import report
    from shards.shardset import ShardSet

    shards = ShardSet.open(root)
    print_result(report(shards))
    if sheet is not None:
        from prep.sheet import write_sheet

        print_result(write_sheet(shards, sheet))


@main.command("verify")
@click.argument("root", metavar="SHARDS", type=click.Path(path_type=Path))
@click.option("--deep", is_flag=True, help="Also decode every image and check its own checksum.")
def verify_command(root: Path, deep: bool) -> None:
    """Check the shard set in the folder SHARDS: sizes, SHA-256, and the index against the tars.

    Each problem is named; the last line has the command that mends them all. The exit code is 3 if there is any.
    """
    from prep.check import check

    print_result(check(root, deep=deep, say=say))


@main.command("train")
@click.argument("shards", metavar="SHARDS", type=click.Path(path_type=Path))
@click.option("--recipe", "-c", metavar="NAME|FILE", help="A shipped recipe or a TOML file. Default: b0-224.")
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
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Short for --set runtime.device=...")
def train_command(
    nproc: int,
    batch_per_process: int | None,
    device: str | None,
    deterministic: bool,
    until: float | None,
    settings: tuple[str, ...],
    **options: Any,
) -> None:
    """Train on the shard set in the folder SHARDS.

    Use --nproc for several processes on one machine, and torchrun for several machines in a closed network.
    Order, draws and updates are the same for any number of processes. SIGTERM, SIGINT and SIGHUP save, then stop.
    """
    from train.parent import stop_with_launcher

    stop_with_launcher()  # before all that takes time
    from train.openmp import spin_briefly
    from train.request import Request

    spin_briefly()  # before torch is loaded
    short = {
        "train.batch_per_process": batch_per_process,
        "train.until": until,
        "runtime.device": device,
        "runtime.deterministic": "true" if deterministic else None,
    }
    settings += tuple(f"{key}={value}" for key, value in short.items() if value is not None)
    request = Request(settings=settings, **options)
    request.refuse_early()  # before what follows, which takes seconds to load

    from train.launch import launch
    from train.preflight import preflight
    from train.run import train
    from train.signals import StoppedError, exit_code
    from train.world import World

    if nproc > 1 and not World.launched():
        told = preflight(request, nproc)
        sys.exit(launch(nproc, (str(Path(__file__).resolve()), *sys.argv[1:]), told))
    try:
        train(request)
    except StoppedError as stopped:
        if World.from_environment().is_main:
            say(f"headrace: {stopped}", error=True)
        sys.exit(exit_code(stopped.number))


@main.command("eval")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("shards", metavar="SHARDS", type=click.Path(path_type=Path))
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a value of its recipe.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Short for --set runtime.device=...")
def eval_command(checkpoint: Path, shards: Path, settings: tuple[str, ...], device: str | None) -> None:
    """Measure CHECKPOINT on the validation split of SHARDS, with the recipe that it was trained with."""
    from train.openmp import spin_briefly

    spin_briefly()  # before torch is loaded
    from train.evaluation import evaluate
    from train.world import World

    settings += () if device is None else (f"runtime.device={device}",)
    line = evaluate(checkpoint, shards, settings).line()
    if World.from_environment().is_main:
        print_result(line)


@main.group("recipes", invoke_without_command=True)
@click.pass_context
def recipes_command(context: click.Context) -> None:
    """List the shipped recipes with what was measured; `show` one in full, `diff` two."""
    from train.catalogue import listing

    if context.invoked_subcommand is None:
        print_result(listing())


@recipes_command.command("show")
@click.argument("name")
def recipes_show_command(name: str) -> None:
    """Print the recipe NAME (shipped, or a TOML file) with every value written out."""
    from train.recipe import load_recipe

    print_result(load_recipe(name).toml().removesuffix("\n"))


@recipes_command.command("diff")
@click.argument("one")
@click.argument("other")
def recipes_diff_command(one: str, other: str) -> None:
    """Print each value in which the recipes ONE and OTHER differ."""
    from train.catalogue import differences

    print_result(differences(one, other))


if __name__ == "__main__":
    main()
