"""Makes a shard as a task of Ray, on any host of the cluster.

The host must have the same version of Headrace, and see SOURCE and OUT at the same paths. If a host dies just after it
has finished a shard, the next host that gets the same job keeps the finished shard.
"""

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.prep.make.kept import finished_meanwhile
from headrace.prep.make.planned import Job
from headrace.prep.make.record import Record
from headrace.prep.make.shard import Work, make_shard
from headrace.shards.ending import expected_elsewhere
from headrace.shards.errors import HeadraceError, UsageError
from headrace.shards.urls import Location
from headrace.shards.version import running_version


@dataclass(frozen=True)
class Errand:
    """The data that every host gets for all jobs of a prep: folders, plan, options and the location of the source."""

    work: Work
    source: Location


def make_there(job: Sequence[Any], errand: Callable[[], Errand], version: str) -> Record | HeadraceError:
    """Make the shard of a job, given as the fields of `Job`; return its record, or an error that a user can act on.

    Other errors are raised. `version` is the version of Headrace that planned the job; if this host has another
    version, the result is an error, and `errand` is not called.
    """
    try:
        _refuse_other_version(version)
        return _make(Job(*job), errand())
    except Exception as error:
        known = expected_elsewhere(error)
        if known is None:
            raise
        return known


def _make(job: Job, errand: Errand) -> Record:
    work = errand.work
    _refuse_missing(work.folder, "OUT")
    if isinstance(errand.source, Path):
        _refuse_missing(errand.source, "SOURCE")
    return finished_meanwhile(job, work) or make_shard(job, work, lambda *_: None)


def _refuse_other_version(version: str) -> None:
    if running_version() != version:
        raise UsageError(
            f"host {platform.node()}: it has Headrace {running_version()}, but the command was given with {version}. "
            "Install the same version on all hosts"
        )


def _refuse_missing(path: Path, what: str) -> None:
    if not path.exists():
        raise UsageError(
            f"host {platform.node()}: {path} does not exist there. {what} must be in a folder that all hosts see, at "
            "the same path on each host"
        )
