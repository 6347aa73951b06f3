"""A trace of few steps of a run, a file a rank, in which the parts of a step have names; NVTX ranges beside them.

Parts are marked only while a run is traced; at all other times marking one costs the call of a function.
"""

import gzip
import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from torch._C._profiler import _ExperimentalConfig
from torch.profiler import ProfilerActivity, profile, record_function, schedule

from headrace.shards import store
from headrace.train.machine.device import Accelerator

_COLD, _WARM_UP = 2, 1  # steps before those of the trace: not recorded, recorded and thrown away
_COLLECTIVES = ("gloo:all_reduce", "nccl:all_reduce")  # what torch calls the exchange of gradients
_NOTHING = nullcontext()


class Part(StrEnum):
    """The parts of a step, and of its input in threads beside it."""

    FEED = "feed"  # the step waits for a batch
    DECODE = "decode"  # a batch is read, decoded and resized
    FORWARD = "forward"
    BACKWARD = "backward"
    REDUCE = "reduce"  # gradients are exchanged, while others are computed
    UPDATE = "update"


class _Marking:
    """How parts are marked in this process, in all of its threads: not at all, or in a trace."""

    mark: Callable[[str], AbstractContextManager[Any]] | None = None


def marked(part: Part) -> AbstractContextManager[Any]:
    """What is done inside is a part of a step."""
    mark = _Marking.mark
    return _NOTHING if mark is None else mark(part.value)


class Trace:
    """Records `steps` steps after the first ones of a run, and writes them to `path`; then `say` tells so."""

    def __init__(self, steps: int, path: Path, accelerator: Accelerator, say: Callable[[str], None]) -> None:
        self._path, self._say, self._steps = path, say, steps
        self._left = _COLD + _WARM_UP + steps
        activities = [ProfilerActivity.CPU, *accelerator.either(cpu=[], gpu=[ProfilerActivity.CUDA])]
        self._profile = profile(
            activities=activities,
            schedule=schedule(wait=_COLD, warmup=_WARM_UP, active=steps, repeat=1),
            on_trace_ready=self._write,
            experimental_config=_ExperimentalConfig(profile_all_threads=True),
        )
        self._named = accelerator.named

    def __enter__(self) -> Self:
        _Marking.mark = self._mark
        self._profile.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._left > 0:
            self._end()
            if kind is None:
                self._say(f"warning: no trace: the run ended {self._left} steps before the last one of --profile")

    def step(self) -> None:
        """A step is over."""
        if self._left > 0:
            self._left -= 1
            self._profile.step()
            if not self._left:
                self._end()

    def _end(self) -> None:
        _Marking.mark = None
        self._profile.stop()

    @contextmanager
    def _mark(self, name: str) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(record_function(name))
            stack.enter_context(self._named(name))
            yield

    def _write(self, recorded: profile) -> None:
        if self._left:
            return  # cut short: what is there is no whole step
        with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
            raw = Path(folder, "trace.json")
            recorded.export_chrome_trace(str(raw))
            trace = json.loads(raw.read_bytes())
        trace.pop("traceName", None)  # a file that is gone
        _rename(trace["traceEvents"])
        store.write_bytes(self._path, gzip.compress(json.dumps(trace).encode(), 6))
        self._say(f"profile  {self._steps} steps in {self._path.name}, a file a rank: open them at ui.perfetto.dev")


def _rename(events: list[dict[str, Any]]) -> None:
    """Give the exchange of gradients the name of its part, and threads of Python the names that they have there."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    for event in events:
        if event.get("name") in _COLLECTIVES:
            event["args"] = {**event.get("args", {}), "collective": event["name"]}
            event["name"] = Part.REDUCE.value
        elif event.get("name") == "thread_name" and event.get("tid") in names:
            event["args"] = {"name": names[event["tid"]]}


def trace_of(
    steps: int | None, folder: Path, rank: int, accelerator: Accelerator, say: Callable[[str], None]
) -> AbstractContextManager[Callable[[], None]]:
    """Around a run: a function to be called after each step. With None steps nothing is recorded."""
    return nullcontext(_leave) if steps is None else _stepping(Trace(steps, path_of(folder, rank), accelerator, say))


def path_of(folder: Path, rank: int) -> Path:
    """The trace of a rank."""
    return folder / f"trace-rank{rank}.json.gz"


def _leave() -> None:
    """Nothing is recorded."""


@contextmanager
def _stepping(trace: Trace) -> Iterator[Callable[[], None]]:
    with trace:
        yield trace.step
