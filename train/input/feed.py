"""Makes batches in a thread, ahead of the training step, and measures how long the step waits for batches.

The feed's thread takes plans, makes their images with the ImagePipeline, and puts a Batch of each plan into a queue of
`depth` batches. The training step takes the batches from this queue.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

from headrace.train.input.batch import Batch
from headrace.train.input.decode.wanted import Way
from headrace.train.input.plans import Plan
from headrace.train.machine.device import Accelerator
from headrace.train.machine.profile import Part, marked

_END = object()
_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 5.0  # of waiting in the garbage collector, which may hold a lock that the thread needs to end


class Feed:
    """Iterates over the batches of `plans`. `stalled` is the time in seconds for which the consumer has waited.

    If the feed's thread fails, its error is raised in the consumer in place of the failed batch or of an earlier one.
    Each later request for a batch raises the error again. To end the thread, even if plans are left, close the feed or
    use it as a context manager.
    """

    def __init__(
        self,
        pipeline: Way[Plan],
        plans: Iterator[Plan],
        accelerator: Accelerator,
        depth: int = 3,
        fetching: Callable[[], float] = float,
    ) -> None:
        self.stalled = 0.0
        self._fetching = fetching
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
            self._queue.put(item)  # the thread has ended: a further request must not wait for it
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

    @property
    def fetching(self) -> float:
        """The time in seconds for which batches could not be made because their tars were still being fetched."""
        return self._fetching()

    def wait_for_first(self) -> float:
        """Wait until the first batch is ready, an error occurs, or there is no batch to prepare.

        Return the time waited, in seconds. Files are opened and loops are compiled during this wait, so the wait does
        not count as a stall.
        """
        began = time.perf_counter()
        self._begun.wait()
        return time.perf_counter() - began

    def close(self) -> None:
        """End the thread, even if plans are left, and wait until the thread has ended."""
        self._closing.set()
        self._thread.join()

    def abandon(self) -> None:
        """Close the feed on behalf of the garbage collector, which may run in any thread.

        The collector may even run in a thread for which the feed's thread waits. Therefore only the main thread waits
        for the feed's thread to end, and only for a few seconds.
        """
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
