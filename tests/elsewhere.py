"""Runs `headrace` or programs as on another system: `python tests/elsewhere.py win32|darwin`, a job per line of input.

A job is (folder, words, file for output, file for errors) in JSON; words are those of a command, or -c PROGRAM. Each
runs in a fork of this process, so packages are loaded once for all of them; its exit code is printed.

What that system lacks is taken away from this process: modules cannot be imported, functions do not exist, and on
"Windows" files behave as there: an open file is neither renamed nor removed, and a folder cannot be opened. Third-party
packages are loaded before that, because they ask for the system when they are loaded.
"""

import gc
import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

LOADED = (
    "click", "click.shell_completion", "click.testing", "filelock", "jinja2", "numpy", "PIL.Image", "PIL.ImageDraw",
    "PIL.ImageFont", "pyarrow", "pyarrow.parquet", "pydantic", "tomli_w", "torch", "tqdm", "webdataset",
    "efficientnet_pytorch", "efficientnet_lite_pytorch", "multiprocessing.pool", "concurrent.futures.thread",
    "importlib.metadata", "platform", "zipfile", "runpy", "safetensors.torch", "onnx", "onnxscript",
)  # fmt: skip
_opened = os.open  # of this system
BLOCKED: dict[str, tuple[str, ...]] = {
    "darwin": ("nvidia.dali", "nvidia.nvimgcodec"),
    "win32": ("fcntl", "resource", "pwd", "grp", "termios"),
}
BLOCKED["win32"] += BLOCKED["darwin"]
LACKING: dict[str, tuple[str, ...]] = {
    "darwin": ("sched_getaffinity", "sched_setaffinity", "posix_fallocate", "posix_fadvise", "memfd_create")
}
LACKING["win32"] = (
    *LACKING["darwin"],
    *("pread", "preadv", "pwrite", "geteuid", "getuid", "uname", "fchmod", "fork", "statvfs", "killpg", "setsid"),
    *("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY"),
)
SIGNALS = ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGALRM", "pthread_sigmask", "set_wakeup_fd")
BINARY = 1 << 15  # O_LARGEFILE, which does nothing on 64 bits


def become(system: str) -> None:
    """Take away what `system` lacks."""
    for name in LOADED:
        try:
            import_module(name)
        except ModuleNotFoundError:  # of an extra
            continue
    sysconfig.get_config_vars()  # read once, from a file that is called after the system
    usage = os.statvfs
    _keep_for_filelock()
    for name in BLOCKED[system]:
        sys.modules[name] = None  # type: ignore[assignment]  # the import system's way to say that there is none
    for name in LACKING[system]:
        delattr(os, name)
    if system == "win32":
        _files_as_on_windows()
        os.environ.setdefault("USERNAME", "someone")  # Windows always has it; torch 2.11 asks for the user's name
        import signal

        for name in SIGNALS:
            delattr(signal, name)
        _space(usage)
    sys.platform = system


def _keep_for_filelock() -> None:
    """Let filelock's locks for POSIX, which it chose when it was loaded, keep all of `os`: on Windows it has others.

    The names of its modules differ between versions.
    """
    whole = ModuleType("os")
    vars(whole).update(vars(os))
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "filelock" and getattr(module, "os", None) is os:
            module.os = whole  # type: ignore[attr-defined]


def _space(usage: Callable[[Any], os.statvfs_result]) -> None:
    """Let `shutil`, which works on all systems, go on without os.statvfs."""

    def disk_usage(path: Any) -> Any:
        seen = usage(path)
        free = seen.f_bavail * seen.f_frsize
        return shutil._ntuple_diskusage(seen.f_blocks * seen.f_frsize, 0, free)

    shutil.disk_usage = disk_usage


def _files_as_on_windows() -> None:
    vars(os)["O_BINARY"] = BINARY
    opened = os.open

    def open_binary(path: Any, flags: int, *more: Any, **options: Any) -> int:
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if caller.startswith("headrace") and str(path) != os.devnull:
            if not flags & BINARY:
                raise AssertionError(f"{path} opened without O_BINARY, so line ends would change")
            if Path(path).is_dir():
                raise PermissionError(13, "a folder cannot be opened", str(path))
        return opened(path, flags, *more, **options)

    os.open = open_binary
    for name in ("replace", "rename", "unlink", "remove"):
        setattr(os, name, _closed_only(getattr(os, name)))


def _closed_only(act: Callable[..., None]) -> Callable[..., None]:
    """The function, for files that this process does not have open."""

    def checked(path: Any, *more: Any, **options: Any) -> None:
        meant = os.path.realpath(path) if not options.get("dir_fd") else ""
        for number in Path("/proc/self/fd").iterdir():
            try:
                held = str(number.readlink())
            except FileNotFoundError:  # the listing's own
                continue
            if held == meant:
                raise PermissionError(13, "the file is open", str(path))
        act(path, *more, **options)

    return checked


def main() -> None:
    """Become the system and run the jobs. A forked process comes out of here by SystemExit."""
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    fork, wait = os.fork, os.waitpid
    become(sys.argv[1])
    gc.freeze()  # else each fork goes through and so copies all these objects when it ends
    for line in sys.stdin:
        if not (child := fork()):
            _run(*json.loads(line))
        sys.stdout.write(f"{os.waitstatus_to_exitcode(wait(child, 0)[1])}\n")
        sys.stdout.flush()


def _run(folder: str, words: list[str], output: str, errors: str) -> None:
    os.chdir(folder)
    for number, path in ((0, os.devnull), (1, output), (2, errors)):
        os.dup2(_opened(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), number)
    if "triton._C" in sys.modules:  # of torch's builds for CUDA; it reports what is left at the end as leaked
        gc.unfreeze()
    if words[0] == "-c":
        exec(words[1], {"__name__": "__main__"})  # noqa: S102  the test's own program
    else:
        from headrace.cli import main as headrace

        headrace(words, prog_name="headrace")
    sys.exit(0)


if __name__ == "__main__":
    main()
