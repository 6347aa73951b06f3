"""Records a trace of a few steps of a run in one file for each rank, in which the parts of each step have names.

On a GPU, the parts are NVTX ranges too. Parts are marked only while a trace is recorded; at other times, marking a part
costs only a function call.
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
from headrace.shards.counts import counted
from headrace.train.machine.device import Accelerator

_COLD, _WARM_UP = 2, 1  # steps before the trace: not recorded; recorded and thrown away
_COLLECTIVES = ("gloo:all_reduce", "nccl:all_reduce")  # what torch calls the exchange of gradients
_NOTHING = nullcontext()


class Part(StrEnum):
    """The parts of a training step, and of the input's work in other threads, that a trace shows."""

    FEED = "feed"  # the step waits for a batch
    DECODE = "decode"  # a batch is read, decoded and resized
    FORWARD = "forward"
    BACKWARD = "backward"
    REDUCE = "reduce"  # gradients are exchanged, while others are computed
    UPDATE = "update"


class _Marking:
    """Holds in `mark` the function with which all threads mark parts of a step; None while no trace is recorded."""

    mark: Callable[[str], AbstractContextManager[Any]] | None = None


def marked(part: Part) -> AbstractContextManager[Any]:
    """Return a context whose work is marked as this part of a step while a trace is recorded."""
    mark = _Marking.mark
    return _NOTHING if mark is None else mark(part.value)


class Trace:
    """Traces `steps` steps after the first few of a run, writes the trace to `path`, and reports the file to `say`."""

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
                self._say(
                    f"warning: no trace was written: the run ended {counted(self._left, 'step')} before the last step "
                    "of --profile"
                )

    def step(self) -> None:
        """Count a finished step; after the last step to record, write the trace."""
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
            return  # cut short within a step
        with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
            raw = Path(folder, "trace.json")
            recorded.export_chrome_trace(str(raw))
            trace = json.loads(raw.read_bytes())
        trace.pop("traceName", None)  # names a temporary file that is gone
        trace.pop("host_name", None)  # a trace may be sent to others
        _rename(trace["traceEvents"])
        store.write_bytes(self._path, gzip.compress(json.dumps(trace).encode(), 6))
        self._say(
            f"profile  {counted(self._steps, 'step')} traced in {self._path.name}, one file for each rank: open the "
            "file at ui.perfetto.dev"
        )


def _rename(events: list[dict[str, Any]]) -> None:
    """Rename events of a trace in place: exchanges of gradients become "reduce", and threads get their Python names."""
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
    """Return a context for a run; it yields a function that the run must call after each step.

    If `steps` is None, nothing is recorded.
    """
    return nullcontext(_leave) if steps is None else _stepping(Trace(steps, path_of(folder, rank), accelerator, say))


def path_of(folder: Path, rank: int) -> Path:
    """Return the path of a rank's trace."""
    return folder / f"trace-rank{rank}.json.gz"


def _leave() -> None:
    """Do nothing after a step of a run that is not traced."""


@contextmanager
def _stepping(trace: Trace) -> Iterator[Callable[[], None]]:
    with trace:
        yield trace.step
