"""Makes a shard set in a folder or at a URL, by calling the module for folders or the module for URLs."""

from headrace.prep import append as appending
from headrace.prep import append_at, convert, part, upload
from headrace.prep.command.options import Options
from headrace.prep.command.progress import Say
from headrace.prep.convert import Result
from headrace.prep.make.engines.engine import Engine
from headrace.prep.make.engines.pool import make_shards
from headrace.prep.part import Part
from headrace.shards.urls import Location, Url


def prep(
    source: Location,
    out: Location,
    options: Options,
    *,
    workers: int,
    if_exists: str,
    say: Say,
    engine: Engine = make_shards,
) -> Result:
    """Make the shard set `out` from `source`, unless the set exists already.

    `engine` runs the tasks that make shards, for example on Ray. Only a set in a folder uses `engine`; the shards of a
    set at a URL are made by processes of this machine.
    """
    if isinstance(out, Url):
        return upload.prep_to_url(source, out, options, workers=workers, if_exists=if_exists, say=say)
    return convert.prep(source, out, options, workers=workers, if_exists=if_exists, say=say, engine=engine)


def append(
    source: Location,
    out: Location,
    options: Options,
    *,
    new_classes: bool,
    workers: int,
    say: Say,
    engine: Engine = make_shards,
) -> Result:
    """Append the images of `source` that the shard set `out` does not have yet.

    `engine` runs the tasks that make shards, for example on Ray. Only a set in a folder uses `engine`; the shards of a
    set at a URL are made by processes of this machine.
    """
    if isinstance(out, Url):
        return append_at.append_to_url(source, out, options, new_classes=new_classes, workers=workers, say=say)
    return appending.append(source, out, options, new_classes=new_classes, workers=workers, say=say, engine=engine)


def make_plan(source: Location, out: Location, options: Options, *, workers: int, say: Say) -> None:
    """Make only the plan of a set, which assigns each image to a shard; processes with --part read this plan later."""
    if isinstance(out, Url):
        upload.make_plan_at(source, out, options, workers=workers, say=say)
    else:
        part.make_plan(source, out, options, workers=workers, say=say)


def prep_part(source: Location, out: Location, options: Options, share: Part, *, workers: int, say: Say) -> None:
    """Make those shards of the part `share` that do not exist yet; do not publish the set."""
    if isinstance(out, Url):
        upload.prep_part_at(source, out, options, share, workers=workers, say=say)
    else:
        part.prep_part(source, out, options, share, workers=workers, say=say)
