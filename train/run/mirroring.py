"""Sets up the mirror of a run: the URL, named in the recipe, to which the run folder is copied during training."""

from datetime import timedelta

from headrace.shards.errors import HeadraceError, UsageError
from headrace.shards.remote import Remote
from headrace.shards.urls import Url, is_url
from headrace.train.checkpoint.mirror import Mirror, mirror_url, refuse_later
from headrace.train.record.folder import RunLog
from headrace.train.run.resolve import Setup

_AT_FIRST = timedelta(seconds=10)  # limit for asking the server before the run begins
_EACH = timedelta(seconds=60)  # limit for one upload; then the thread waits and tries again


def mirror_trouble(setup: Setup) -> str:
    """Return an error text if the mirror of a run does not answer; "" if it does, or if the recipe names no mirror.

    Raises UsageError if reading the mirror is not permitted. Also raises UsageError if the mirror has a checkpoint of a
    later step than the run's first step and the run is not resumed from that mirror.
    """
    mirror, step = setup.recipe.runtime.mirror, setup.resumed.progress.step if setup.resumed else 0
    try:
        if mirror is not None and not _is_resumed_from(setup):
            refuse_later(Remote(mirror_url(mirror), _AT_FIRST), step)
    except UsageError:
        raise
    except HeadraceError as error:
        return f"mirror: {error}"
    return ""


def mirror_of(setup: Setup, log: RunLog) -> list[Mirror]:
    """Return a list with the callback that mirrors the run folder, or an empty list if the recipe names no mirror."""
    mirror = setup.recipe.runtime.mirror
    if mirror is None:
        return []
    resumed, remote = _is_resumed_from(setup), Remote(mirror_url(mirror), _EACH)
    return [Mirror(setup.out, remote, log.say, log.say_warning, resumed=resumed)]


def _is_resumed_from(setup: Setup) -> bool:
    """Return whether a run is resumed from its own mirror."""
    resume, mirror = setup.request.resume, setup.recipe.runtime.mirror
    return resume is not None and is_url(resume) and str(Url(resume)) == str(Url(mirror or ""))
