"""Runs nginx on the loopback interface, and a link in front of it with a limit in bytes per second."""

import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness.processes import child

BUCKET = "bucket"
"""The name of the served folder, which is a bucket for clients of S3: the path of a key is that of a static file."""
_PIECE = 1 << 16  # bytes that pass the link at once
_NGINX = """\
daemon off; pid {work}/nginx.pid; error_log {work}/nginx.error; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; client_body_temp_path {work};
  proxy_temp_path {work}; fastcgi_temp_path {work}; uwsgi_temp_path {work}; scgi_temp_path {work};
  server {{ listen 127.0.0.1:{port}; location /{bucket}/ {{ alias {root}/; }} }}
}}
"""


class NoServerError(Exception):
    """nginx is not installed, or did not start."""


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def nginx(root: Path, work: Path) -> Iterator[int]:
    """A context with the port of a server that has the files of a folder in /bucket/. Raises NoServerError."""
    program, port = shutil.which("nginx") or "/usr/sbin/nginx", _free_port()
    if not Path(program).exists():
        raise NoServerError("nginx is needed: apt-get install nginx-light")
    (work / "nginx.conf").write_text(_NGINX.format(work=work, port=port, root=root, bucket=BUCKET))
    with subprocess.Popen([program, "-c", str(work / "nginx.conf")], stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port, process)
            yield port
        finally:
            process.terminate()


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
        if process.poll() is not None:
            break
    raise NoServerError(f"port {port}: no server answers there")


@contextmanager
def link(port: int, rate: float) -> Iterator[int]:
    """A context with the port of a link to a server, which passes `rate` bytes per second over all connections."""
    mine = _free_port()
    with subprocess.Popen(child(__file__, "relay", mine, port, rate), stdin=subprocess.PIPE) as process:
        try:
            _wait_for(mine, process)
            yield mine
        finally:
            process.terminate()


class _Pace:
    """Limits the rate at which bytes pass."""

    def __init__(self, rate: float) -> None:
        self._rate, self._next, self._lock = rate, 0.0, threading.Lock()

    def wait(self, size: int) -> None:
        """Sleep until this many bytes may pass."""
        with self._lock:
            self._next = max(self._next, time.monotonic()) + size / self._rate
            until = self._next
        time.sleep(max(0.0, until - time.monotonic()))


def relay(mine: int, port: int, rate: float) -> None:
    """Run the link until the parent ends this process."""
    pace, listening = _Pace(rate), socket.create_server(("127.0.0.1", mine), backlog=64)
    threading.Thread(target=_end_with_parent, args=(listening,), daemon=True).start()
    while True:
        try:
            near, _ = listening.accept()
            far = socket.create_connection(("127.0.0.1", port))
        except OSError:
            return
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 * _PIECE)  # bytes in this buffer count as not sent
        for source, target, slowed in ((near, far, None), (far, near, pace)):
            threading.Thread(target=_carry, args=(source, target, slowed), daemon=True).start()


def _end_with_parent(listening: socket.socket) -> None:
    sys.stdin.read()
    listening.close()


def _carry(source: socket.socket, target: socket.socket, pace: _Pace | None) -> None:
    try:
        while piece := source.recv(_PIECE):
            if pace is not None:
                pace.wait(len(piece))
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return
