"""Runs the saves of checkpoints one at a time: either directly, or in a thread while training continues."""

from collections.abc import Callable
from threading import Thread

from headrace.train.record.moments import Saved


class Writer:
    """Carries out one save after another; `result` raises an error that occurred in the thread."""

    def __init__(self) -> None:
        self._thread: Thread | None = None
        self._saved: Saved | None = None
        self._error: BaseException | None = None

    def write(self, save: Callable[[], Saved], *, beside: bool) -> None:
        """Run `save` now, or in a thread if `beside`. Call `result` before the next call of this method."""

        def work() -> None:
            try:
                self._saved = save()
            except BaseException as error:  # noqa: BLE001  whatever it is, it is raised where the run sees it
                self._error = error

        if beside:
            self._thread = Thread(target=work, name="headrace-save", daemon=True)
            self._thread.start()
        else:
            self._saved = save()

    def result(self, *, wait: bool) -> Saved | None:
        """Return the save that finished since the last call, or None. With `wait`, wait for a save in progress.

        Raises the error of a save that failed in the thread.
        """
        if self._thread is not None:
            if not wait and self._thread.is_alive():
                return None
            self._thread.join()
            self._thread = None
        saved, error, self._saved, self._error = self._saved, self._error, None, None
        if error is not None:
            raise error
        return saved
