"""How many files a process may have open, and how many of these may be tars of a split."""

import errno
import resource

from headrace.shards.errors import HeadraceError

_ENOUGH = 1 << 20
_SPARE = 1024  # files beside the tars of a set
_FROM_THE_START, _MOST_TARS = 1024, 8192


class LimitError(HeadraceError):
    """Not one more file may be opened by this process, or on the whole machine: nothing is wrong with the file."""


def allow_many() -> None:
    """Let this process open as many files as the system lets it, up to a million.

    For commands: a library leaves the limit alone.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_tars() -> int:
    """How many tars of a split may be open: half of what the process may open now, and not more than 8,192."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_TARS if soft == resource.RLIM_INFINITY else min(_MOST_TARS, soft // 2)


def may_be_open(tars: int) -> bool:
    """Whether so many tars of a split may be open from the start: 1,024, in a process that may open twice as many."""
    return tars <= min(_FROM_THE_START, most_tars())


def refuse_limit(error: OSError) -> None:
    """Raise LimitError, which says what to raise, for the error of a process that may not open one more file.

    To be called before an error of reading is laid to the file.
    """
    if error.errno == errno.ENFILE:
        raise LimitError(
            "the whole machine may not open one more file. Raise fs.file-max, or end programs that hold many"
        ) from error
    if error.errno == errno.EMFILE:
        raise LimitError(f"{_limit()}, and it needs more. {_remedy(4 * _SPARE)}") from error


def too_many_tars(tars: int) -> LimitError:
    """The same for a split of so many tars."""
    return LimitError(f"the split has {tars:,} tars, and {_limit()}. {_remedy(tars + _SPARE)}")


def _limit() -> str:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return f"this process may open {soft:,} files (RLIMIT_NOFILE, at most {hard:,})"


def _remedy(wanted: int) -> str:
    return f"Raise the limit first: `ulimit -n {wanted}` in the shell, or resource.setrlimit in Python"
