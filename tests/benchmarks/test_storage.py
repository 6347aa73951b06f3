"""What `benchmarks.storage.staging` stands on: its link's rate, complete samples, an end if a reader dies."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.storage import readers
from benchmarks.storage.servers import link
from benchmarks.storage.staging import whole_rows

RATE, SIZE = 2_000_000, 400_000


def _give(server: socket.socket) -> None:
    while True:
        try:
            near, _ = server.accept()
        except OSError:
            return
        with near:
            near.sendall(bytes(SIZE))


def test_link_lets_so_much_through_over_all_connections() -> None:
    """Three at once together take three times as long as one at that rate."""
    with socket.create_server(("127.0.0.1", 0)) as server, link(server.getsockname()[1], RATE) as port:
        threading.Thread(target=_give, args=(server,), daemon=True).start()
        came: list[int] = []

        def take() -> None:
            with socket.create_connection(("127.0.0.1", port)) as near:
                came.append(sum(len(piece) for piece in iter(lambda: near.recv(1 << 16), b"")))

        threads, began = [threading.Thread(target=take) for _ in range(3)], time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert came == [SIZE] * 3
        assert time.monotonic() - began > 0.8 * 3 * SIZE / RATE


def test_contender_that_leaves_samples_out_is_no_row() -> None:
    """Nobody is fast because he read less."""
    run = {"seconds": 1.0, "cpu_seconds": 0.5, "samples": 10, "bytes": 1000, "fetched": 2000}
    assert whole_rows({"one": [run], "only fetched": [{**run, "samples": 0}]}, 10, 1000)[0]["n"] == 1
    with pytest.raises(RuntimeError, match="received 10 samples, expected 11"):
        whole_rows({"one": [run]}, 11, 1000)


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ("failure", r"ended during the measurement: OSError\('connection lost'\)"),
        ("end", "ended during the measurement: .*no more batches"),
        ("silence", r"gave no batch for 0\.2 s"),
    ],
)
def test_dead_reader_ends_the_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str, words: str
) -> None:
    """A reader that fails, ends or falls silent is an error, also in a thread."""
    monkeypatch.setattr(readers, "_PATIENCE", 0.2)
    over = threading.Event()

    def batches() -> Iterator[list[bytes]]:
        yield [b"first"]
        yield [b"second"]
        if after == "failure":
            raise OSError("connection lost")
        if after == "silence":
            over.wait()

    given = readers.Given("http://nowhere", "set", tmp_path, shuffle=True)
    with pytest.raises(RuntimeError, match=words):
        readers._steady(batches(), given, 1e6, 1.0)
    over.set()
