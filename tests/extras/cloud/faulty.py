"""A web server that does wrong what it is told to."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.extras.cloud.asked import SECRET, Asked, Count

_PIECE = 1 << 13  # bytes that are sent at once


class Faulty:
    """A web server that gives files of a folder, `rate` bytes a second at most, and does what is asked wrong with them.

    `faults` has by name what is wrong with the next answers, one after another: a status such as 503, "cut", "reset",
    "stall", "half" or "flip".
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, Count()
        self.faults: dict[str, list[int | str]] = {}
        self.gone: set[str] = set()
        self.ranges = self.tagged = True
        self.rate = 0.0
        self.lock, self.next = threading.Lock(), 0.0
        outer = self

        class Handler(_Answer):
            server_of = outer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/set"
        self.environment = {"AWS_ALLOW_HTTP": "true", "AWS_READ_TIMEOUT": "2s"}

    def pace(self, size: int) -> None:
        """Wait until so many bytes may go."""
        if not self.rate:
            return
        with self.lock:
            self.next = max(self.next, time.monotonic()) + size / self.rate
            until = self.next
        time.sleep(max(0.0, until - time.monotonic()))

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: Faulty

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """A file, or what is wrong with it."""
        faulty, name = self.server_of, self.path.partition("?")[0].rpartition("/")[2]
        asked = self.headers.get("Range", "")
        faulty.count.note(Asked(self.command, self.path, asked))
        wrong = (faulty.faults.get(name) or [""]).pop(0) if self.command == "GET" else ""
        path = faulty.folder / name
        if isinstance(wrong, int) or name in faulty.gone or not path.is_file():
            self._status(wrong if isinstance(wrong, int) else 404)
            return
        body, whole = path.read_bytes(), path.stat().st_size
        bounds = asked.removeprefix("bytes=").split("-") if asked and faulty.ranges else ["0", ""]
        first, last = int(bounds[0]), int(bounds[1] or whole)
        if first >= whole:
            self._status(416)
            return
        part = body[first : last + 1]
        if wrong == "half":
            part = part[: len(part) // 2]
        if wrong == "flip":
            part = part[:-700] + bytes([part[-700] ^ 1]) + part[-699:]
        self.send_response(206 if asked and faulty.ranges else 200)
        if asked and faulty.ranges:
            self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{whole}")
        if faulty.tagged:
            self.send_header("ETag", f'"{whole}"')
        self.send_header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if self.command == "GET":
            self._send(part, wrong, counted=name.endswith(".tar"))

    do_HEAD = do_GET  # noqa: N815  the library's name

    def _status(self, code: int) -> None:
        body = f"<Error><Code>Secret</Code><Key>{SECRET}</Key></Error>".encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send(self, part: bytes, wrong: int | str, *, counted: bool) -> None:
        length = len(part) // 2 if wrong in ("cut", "reset", "stall") else len(part)
        for first in range(0, length, _PIECE):
            piece = part[first : min(first + _PIECE, length)]
            self.server_of.pace(len(piece))
            try:
                self.wfile.write(piece)
            except OSError:
                self.close_connection = True
                return
            if counted:
                self.server_of.count.add(len(piece))
        if wrong == "stall":
            time.sleep(30)
        if wrong in ("cut", "reset", "stall"):
            self.close_connection = True
            self.wfile.flush()
            self.connection.close()
