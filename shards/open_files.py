"""How many files a process may have open: a set has a descriptor for each of its tars."""

import errno
import resource

from headrace.shards.errors import HeadraceError, UsageError

_ENOUGH = 1 << 20


def allow_many() -> None:
    """Let this process open as many files as the system lets it, up to a million.

    For commands: a library leaves the limit alone.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def limit_error(error: OSError, tars: int) -> HeadraceError | None:
    """The user's error for the error of a process that may not open one more file; None for any other."""
    if error.errno not in (errno.EMFILE, errno.ENFILE):
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return UsageError(
        f"the split has {tars:,} tars, and this process may open {soft:,} files (RLIMIT_NOFILE, at most {hard:,}). "
        f"Raise the limit first: `ulimit -n {tars + 1024}` in the shell, or resource.setrlimit in Python"
    )
