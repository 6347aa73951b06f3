"""The number of files that a process may have open, and how many of them may be tars of a split."""

import errno

from headrace.shards.errors import HeadraceError

try:
    import resource
except ModuleNotFoundError:  # Windows, whose C library has a fixed limit
    _FIXED = 8192
else:
    _FIXED = 0

_ENOUGH = 1 << 20
_SPARE = 1024  # files other than the tars of a set
_FROM_THE_START, _MOST_TARS = 1024, 8192


class LimitError(HeadraceError):
    """The process, or the whole machine, may not open another file; nothing is wrong with the file itself."""


def allow_many() -> None:
    """Let this process open as many files as the system allows, up to a million.

    Only commands call this function: a library must not change the limit.
    """
    if _FIXED:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_tars() -> int:
    """The number of tars of a split that may be open: half of the process's limit for open files, and at most 8,192."""
    if _FIXED:
        return _FIXED // 2
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_TARS if soft == resource.RLIM_INFINITY else min(_MOST_TARS, soft // 2)


def may_be_open(tars: int) -> bool:
    """Whether all tars of a split may be open: there may be at most 1,024, and at most half of the process's limit."""
    return tars <= min(_FROM_THE_START, most_tars())


def refuse_limit(error: OSError) -> None:
    """Raise LimitError, which names the limit to increase, if `error` means that no further file may be opened.

    Call this function before reporting that a file is unreadable.
    """
    if error.errno == errno.ENFILE:
        raise LimitError(
            "this machine has reached its limit of open files. Raise fs.file-max, or end programs that have many files "
            "open"
        ) from error
    if error.errno == errno.EMFILE:
        raise LimitError(f"{_limit()}, but needs more. {_remedy(4 * _SPARE)}") from error


def too_many_tars(tars: int) -> LimitError:
    """The error for a split with `tars` tars, too many to open at once."""
    return LimitError(f"the split has {tars:,} tars, but {_limit()}. {_remedy(tars + _SPARE)}")


def _limit() -> str:
    if _FIXED:
        return f"a process may open {_FIXED:,} files on this system"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return f"this process may open {soft:,} files (RLIMIT_NOFILE, at most {hard:,})"


def _remedy(wanted: int) -> str:
    if _FIXED:
        return "Use larger shards"
    return f"Raise the limit first: `ulimit -n {wanted}` in the shell, or resource.setrlimit in Python"
