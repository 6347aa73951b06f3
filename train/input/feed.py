"""Batches made ahead of the step by a thread, and the time that the step waited for them.

plans --> [ImagePipeline] --> Batch --> queue of `depth` --> training step
`------------- feed thread ----------'
"""

import queue
import threading
import time
from collections.abc import Iterator
from typing import Any, Self

from headrace.train.input.batch import Batch
from headrace.train.input.decode.wanted import Way
from headrace.train.input.plans import Plan
from headrace.train.machine.device import Accelerator
from headrace.train.machine.profile import Part, marked

_END = object()
_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 5.0  # for a thread that is to end; the collector may hold a lock that it needs


class Feed:
    """Iterates the batches of `plans`. `stalled` grows by the seconds that the consumer waited.

    An error in the thread is raised to the consumer, at the latest in place of the batch that it hit, and again
    whenever it asks for more. Close it, or use it as a context manager: the thread ends with it, also in the middle
    of the stream.
    """

    def __init__(self, pipeline: Way[Plan], plans: Iterator[Plan], accelerator: Accelerator, depth: int = 3) -> None:
        self.stalled = 0.0
        self._accelerator = accelerator
        self._queue: queue.Queue[Any] = queue.Queue(depth)
        self._closing, self._begun = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._produce, args=(pipeline, plans), name="headrace-feed", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        began = time.perf_counter()
        with marked(Part.FEED):
            item = self._queue.get()
        self.stalled += time.perf_counter() - began
        if item is _END or isinstance(item, Exception):
            self._queue.put(item)  # the thread is over: asking again must not wait for it
            if isinstance(item, Exception):
                raise item
            raise StopIteration
        batch: Batch = item[0]
        mark = item[1]
        self._accelerator.wait(mark, *batch.tensors)
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait_for_first(self) -> float:
        """Wait until there is a batch to take, an error or the end. Returns the seconds that it took.

        What a stream's first batch takes, files that are opened and loops that are compiled, is no stall.
        """
        began = time.perf_counter()
        self._begun.wait()
        return time.perf_counter() - began

    def close(self) -> None:
        """End the thread, wherever it is, and wait for it."""
        self._closing.set()
        self._thread.join()

    def abandon(self) -> None:
        """The same for a garbage collector, which may run in any thread, also in one that the feed waits for."""
        self._closing.set()
        if threading.current_thread() is threading.main_thread():
            self._thread.join(_PATIENCE_SECONDS)

    def _produce(self, pipeline: Way[Plan], plans: Iterator[Plan]) -> None:
        try:
            for plan, images in pipeline.run(self._until_closed(plans)):
                with self._accelerator.side_stream():
                    batch = Batch.of(plan, images, self._accelerator)
                    mark = self._accelerator.mark()
                self._put((batch, mark))
            self._put(_END)
        except Exception as error:  # noqa: BLE001  handed over whole: the consumer raises it
            self._put(error)

    def _until_closed(self, plans: Iterator[Plan]) -> Iterator[Plan]:
        for plan in plans:
            if self._closing.is_set():
                return
            yield plan

    def _put(self, item: Any) -> None:
        while not self._closing.is_set():
            try:
                self._queue.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            self._begun.set()
            return
