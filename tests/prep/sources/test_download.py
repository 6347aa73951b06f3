import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.prep.sources.download import Offer, download
from headrace.shards.errors import DataError, HeadraceError

CONTENT = bytes(range(256)) * 4096  # a megabyte


class Server(http.server.ThreadingHTTPServer):
    """A server that sends `piece` bytes and then drops the connection; `asked` has the Range of every request."""

    piece = len(CONTENT)
    ranges = True
    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the content from the start of the range."""

    server: Server

    def do_GET(self) -> None:
        """Send a part of the requested content."""
        asked = self.headers.get("Range", "")
        self.server.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.ranges else 0
        if self.server.status != 200 or start >= len(CONTENT):
            self.send_error(416 if self.server.status == 200 else self.server.status)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : start + self.server.piece])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on this machine."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def offer(server: Server, content: bytes = CONTENT) -> Offer:
    """The download that the server offers."""
    return Offer(f"http://127.0.0.1:{server.server_port}/a.zip", "a.zip", hashlib.md5(content).hexdigest())  # noqa: S324


def test_fetched_once(server: Server, tmp_path: Path) -> None:
    """The file is fetched and checked, and a second call finds it."""
    for _ in range(2):
        assert download(offer(server), tmp_path / "new").read_bytes() == CONTENT
    assert server.asked == [""]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.zip"]


def test_broken_transfer_goes_on_where_it_ended(server: Server, tmp_path: Path) -> None:
    """Each new connection requests only the rest."""
    server.piece = 300_000
    assert download(offer(server), tmp_path, pause=0).read_bytes() == CONTENT
    assert server.asked == ["", "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_server_without_ranges(server: Server, tmp_path: Path) -> None:
    """A server that always starts from the beginning works too, and no bytes are doubled."""
    (tmp_path / "a.zip.partial").write_bytes(CONTENT[:1000])
    server.ranges = False
    assert download(offer(server), tmp_path, pause=0).read_bytes() == CONTENT


def test_complete_remains_are_used(server: Server, tmp_path: Path) -> None:
    """A transfer that ended just before its rename needs only the check."""
    (tmp_path / "a.zip.partial").write_bytes(CONTENT)
    assert download(offer(server), tmp_path, pause=0).read_bytes() == CONTENT


def test_wrong_content_is_refused(server: Server, tmp_path: Path) -> None:
    """Content with another MD5 never gets the name of the file, and a user's file with another MD5 is not used."""
    with pytest.raises(DataError, match=r"a\.zip\.partial: MD5"):
        download(offer(server, b"other"), tmp_path, pause=0)
    assert not (tmp_path / "a.zip").exists()
    (tmp_path / "a.zip").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"a\.zip: MD5"):
        download(offer(server), tmp_path, pause=0)


@pytest.mark.parametrize("status", [403, 404, 503])
def test_refusing_server_is_given_up(server: Server, tmp_path: Path, status: int) -> None:
    """A server that sends nothing is tried a few times; the error says how to do without it."""
    server.status = status
    with pytest.raises(HeadraceError, match="give its path as SOURCE"):
        download(offer(server), tmp_path, pause=0)
    assert len(server.asked) == 8


def test_no_network(server: Server, tmp_path: Path) -> None:
    """A missing server gives one clear error."""
    gone = Offer("http://127.0.0.1:9/a.zip", "a.zip", "0" * 32)
    del server
    with pytest.raises(HeadraceError, match="refused"):
        download(gone, tmp_path, pause=0)
