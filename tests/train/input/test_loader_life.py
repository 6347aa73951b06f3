"""`headrace.Loader` in the user's process: what it leaves behind, and what it changes."""

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest

from headrace.train.input.loader import Loader
from tests.checkout import ROOT
from tests.train.input.loaders import SIZE


def entries(folder: str) -> int:
    """Return the number of entries in a folder."""
    return len(list(Path(folder).iterdir()))


def process_threads(at_most: int = 0) -> int:
    """Return the number of threads of this process, after waiting until they are few enough.

    One thread is not counted, which Arrow's jemalloc starts some time after its first use.
    """
    until = time.monotonic() + 10
    while (count := len(other_threads())) > at_most and at_most and time.monotonic() < until:
        time.sleep(0.05)
    return count


def other_threads() -> list[str]:
    """Return the names of all threads except that one; a thread that ends meanwhile has no name."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            names.append((task / "comm").read_text("ascii", errors="replace").strip())
    return [name for name in names if name != "jemalloc_bg_thd"]


@pytest.fixture
def small_arrow_pools() -> Iterator[None]:
    """Limit Arrow's pools to one thread each, because they start threads at any time."""
    before = pa.cpu_count(), pa.io_thread_count()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    yield
    pa.set_cpu_count(before[0])
    pa.set_io_thread_count(before[1])


@pytest.mark.usefixtures("small_arrow_pools")
def test_nothing_stays_of_loaders(tiny_set: Path) -> None:
    """After fifty loaders, half of them used and some left unfinished, threads and descriptors are as before."""

    def use(number: int) -> None:
        loader = Loader(tiny_set, batch=12, size=SIZE, device="cpu", threads=2)
        if number % 2:
            for step, _ in enumerate(loader):
                if step == number % 5:
                    break
        if number % 3 == 0:
            loader.close()

    def use_many(count: int) -> None:
        for number in range(count):
            use(number)
        workers = [threading.Thread(target=use, args=(number,)) for number in (1, 3, 7, 9)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        gc.collect()

    use_many(4)  # libraries start threads of their own when they are first used, and from several threads more
    threads, files = process_threads(), entries("/proc/self/fd")
    use_many(50)
    assert process_threads(at_most=threads) <= threads
    assert entries("/proc/self/fd") <= files


def run_script(program: str, shards: Path) -> str:
    """Return the output of a new process that runs this program, which must print nothing on standard error."""
    command = [sys.executable, "-c", program, str(shards)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_process_ends_in_the_middle_of_a_pass(tiny_set: Path) -> None:
    """A process ends cleanly without close: at the end of a script, in a reference cycle, after an exception."""
    run_script(
        """
import sys
from headrace import Loader
def load():
    return Loader(sys.argv[1], batch=12, size=32, device="cpu", threads=2)
held, running = load(), iter(load())
next(iter(held)), next(running)
cycle = [load()]
cycle.append(cycle)
next(iter(cycle[0]))
del cycle
try:
    for images, targets in load():
        raise KeyError("in the loop")
except KeyError:
    pass
""",
        tiny_set,
    )


def test_process_is_left_as_it_is(tiny_set: Path) -> None:
    """A pass changes no thread count, flag, default dtype, environment or limit, and forks nothing."""
    printed = run_script(
        """
import os, resource, signal, sys
import torch
from headrace import Loader
def process():
    return (
        torch.get_num_threads(), torch.get_num_interop_threads(), torch.backends.cudnn.benchmark,
        torch.backends.cuda.matmul.allow_tf32, torch.get_default_dtype(), torch.get_rng_state().sum().item(),
        dict(os.environ), resource.getrlimit(resource.RLIMIT_NOFILE), signal.getsignal(signal.SIGTERM),
        torch.are_deterministic_algorithms_enabled(), os.getcwd(),
    )
forks = []
os.register_at_fork(before=lambda: forks.append(1))
before = process()
with Loader(sys.argv[1], batch=12, size=32, augment="b0-fast", device="cpu") as loader:
    print(len(list(loader)))
print(process() == before, forks)
""",
        tiny_set,
    )
    assert printed.split() == ["40", "True", "[]"]


def test_beside_a_data_loader_that_forks(tiny_set: Path) -> None:
    """Workers of torch's DataLoader may be forked during a pass, repeatedly: both continue, and the process ends."""
    printed = run_script(
        """
import sys
import torch
from headrace import Loader
numbers = torch.utils.data.TensorDataset(torch.arange(64))
loader = Loader(sys.argv[1], batch=12, size=32, device="cpu", threads=2)
count = 0
for step, _ in enumerate(loader):
    if step % 10 == 0:
        others = torch.utils.data.DataLoader(numbers, 8, num_workers=2, multiprocessing_context="fork")
        count += sum(len(batch) for (batch,) in others)
print(loader.step, count)
""",
        tiny_set,
    )
    assert printed.split() == ["40", "256"]


def test_memory_does_not_grow(tiny_set: Path) -> None:
    """Sixty unfinished loaders after the first twenty, two thirds of them closed, add at most 2 MB."""
    printed = run_script(
        """
import ctypes, gc, resource, sys
from headrace import Loader
def resident():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
def use(count):
    for number in range(count):
        loader = Loader(sys.argv[1], batch=12, size=32, device="cpu", threads=1)
        for step, _ in enumerate(loader):
            if step == 2:
                break
        if number % 3:
            loader.close()
use(20)
before = resident()
use(60)
print(resident() - before)
""",
        tiny_set,
    )
    assert int(printed) < 2_000_000
