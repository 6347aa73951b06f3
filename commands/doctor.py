"""`headrace doctor`: measures where a training job loses time, and says what to change."""

import json
import sys
from typing import TYPE_CHECKING

import click

from headrace.commands.examples import examples
from headrace.commands.location import LocationType
from headrace.commands.machine_options import nproc_option
from headrace.commands.platform import need_linux
from headrace.commands.recipe_options import recipe_option, settings_option
from headrace.shards.streams import print_result
from headrace.shards.urls import Location

if TYPE_CHECKING:
    from headrace.train.doctor.asked import Asked, Part


def _numbers(_: click.Context, __: click.Parameter, text: str | None) -> tuple[int, ...]:
    """Parse the text of an option: numbers of processes, separated by commas.

    Raises click.BadParameter for any other text.
    """
    try:
        numbers = tuple(int(word) for word in text.split(",")) if text is not None else ()
    except ValueError:
        numbers = (0,)
    if any(number < 1 for number in numbers):
        raise click.BadParameter(f"{text!r}: expected numbers of processes, such as 1,2,4")
    return numbers


@click.command(
    "doctor",
    epilog=examples(
        "headrace doctor shards/drawn --recipe demo",
        "headrace doctor shards/drawn --recipe demo --min-ratio 0.2 --json",
    ),
)
@click.argument("shards", metavar="SHARDS", type=LocationType())
@recipe_option("The job's recipe, as for `headrace train`.")
@settings_option("Change a value of the recipe: --set runtime.threads=4.")
@nproc_option
@click.option(
    "--scale",
    metavar="N,N,...",
    callback=_numbers,
    help="Also measure with each of these numbers of processes, such as 1,2,4.",
)
@click.option(
    "--try", "attempt", is_flag=True, help="Also measure with the changed setting that the doctor recommends."
)
@click.option(
    "--cold",
    is_flag=True,
    help="Also measure with the training shards evicted from memory (the page cache), so that they are read from disk.",
)
@click.option(
    "--min-ratio",
    type=click.FloatRange(0, min_open=True),
    metavar="R",
    help="Exit with code 1 if training reaches less than the share R of its best possible rate: the rate of the same "
    "steps on a batch that is already on the device, less what the input takes of the CPU cores.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON object.")
def doctor_command(
    shards: Location,
    recipe: str | None,
    settings: tuple[str, ...],
    nproc: int,
    scale: tuple[int, ...],
    attempt: bool,
    cold: bool,
    min_ratio: float | None,
    as_json: bool,
) -> None:
    """Measure, part by part, where training on the shard set SHARDS loses time, and say what to change.

    The measurement takes a minute or two, with a network that has random weights. The doctor downloads and writes
    nothing, with one exception: shards at a URL are staged (fetched to a disk of this machine). docs/doctor.md explains
    the output.
    """
    need_linux("doctor")
    from headrace.train.machine.parent import stop_with_launcher

    stop_with_launcher()  # before anything that takes time
    from headrace.train.doctor.asked import Asked, Part

    asked = Asked(shards, recipe, settings, nproc)
    part = Part.of_this_process()
    if part is not None:
        _measure(asked, part)
        return
    asked.request().refuse_early()
    from headrace.train.doctor.answer import answer
    from headrace.train.doctor.examination import examine
    from headrace.train.doctor.page import page

    found = examine(asked, scale=scale, attempt=attempt, cold=cold, min_ratio=min_ratio)
    print_result(json.dumps(answer(found)) if as_json else page(found))
    if not found.passes:
        sys.exit(1)


def _measure(asked: "Asked", part: "Part") -> None:
    """Measure one part of the training job in the requested number of processes.

    Print the result, which is read by the process that runs `headrace doctor`.
    """
    from headrace.train.machine.openmp import spin_briefly

    spin_briefly()  # before torch is loaded
    from headrace.train.doctor.ladder import check_first, measure
    from headrace.train.machine.launch import launch
    from headrace.train.machine.world import World

    if asked.processes > 1 and not World.launched():
        check_first(asked)
        sys.exit(launch(asked.processes, ("-P", "-m", "headrace", *sys.argv[1:])))
    measured = measure(asked, part)
    if measured is not None:  # only rank 0 has it
        print_result(measured.model_dump_json())
