"""HTTP servers on a port of this machine that may go away in mid-run."""

import json
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, NamedTuple, Self, cast
from urllib.parse import parse_qsl, urlsplit

Away = Literal["closed", "silent"]


class Answer(NamedTuple):
    """What a call is answered with."""

    body: bytes
    status: HTTPStatus = HTTPStatus.OK


class Leaving(ThreadingHTTPServer):
    """Answers until it goes away: then it takes no connection ("closed"), or takes them and never answers ("silent").

    `away` is how it goes, None if it stays, after so many calls that `brings_figures`.
    """

    daemon_threads = True

    def __init__(self, away: Away | None = None, after: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Call)
        self.gone_at: float | None = None
        """The moment of the monotonic clock at which it went away."""
        self._away, self._left = away, after
        self._over, self._lock = threading.Event(), threading.Lock()

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.shutdown()
        self.server_close()

    def answer(self, method: str, path: str, values: Any) -> Answer:
        """The answer to a call, with its values as JSON has them."""
        raise NotImplementedError

    def brings_figures(self, method: str, path: str, values: Any) -> bool:
        """Whether the call brings figures of the run."""
        raise NotImplementedError

    def leaves(self, *call: Any) -> bool:
        """Whether this call gets no answer: the server is away, or goes now."""
        with self._lock:
            if self.gone_at is None and self._away and self.brings_figures(*call):
                self._left -= 1
                if self._left < 0:
                    self._go()
        if self.gone_at is not None and self._away == "silent":
            self._over.wait()
        return self.gone_at is not None

    def _go(self) -> None:
        self.gone_at = time.monotonic()
        if self._away == "closed":
            self.shutdown()
            self.server_close()


class _Call(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a call whose values are in the address."""
        self._answer(dict(parse_qsl(urlsplit(self.path).query)))

    def do_POST(self) -> None:
        """Answer a call whose values are in the body."""
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, values: Any) -> None:
        server, call = cast("Leaving", self.server), (self.command, urlsplit(self.path).path, values)
        if server.leaves(*call):
            self.close_connection = True
            return
        answer = server.answer(*call)
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""
