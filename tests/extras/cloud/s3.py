"""S3 by moto, on the loopback interface."""

import io
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.extras.cloud.asked import BUCKET, SECRET, Asked, Count

Start = Callable[..., Any]
Environ = dict[str, Any]


class S3:
    """moto's server, in threads of this process."""

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        self.count = Count()
        self._serve: Callable[[Environ, Start], Iterable[bytes]] = DomainDispatcherApplication(create_backend_app)
        self.pause = 0.0  # seconds before each upload
        self.careless = False  # about conditions of uploads
        self.faults: list[int | str] = []  # of the next uploads: a status, "cut" in the middle, "lost" answers, "stall"
        self.refusal = (0, "")  # of all requests: a status and a code
        self.keys: set[str] = set()  # access keys that requests were signed with
        self.overtake = ("", b"")  # a key, and what another has put there just after an upload
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "known",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.client().create_bucket(Bucket=BUCKET)

    def _answer(self, environ: Environ, start: Start) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        self.count.note(Asked(method, environ["PATH_INFO"], environ.get("HTTP_RANGE", "")))
        self.keys.update(re.findall(r"Credential=(\w+)/", environ.get("HTTP_AUTHORIZATION", "")))
        if self.refusal[0]:
            return _failed(environ, start, *self.refusal)
        if method in ("PUT", "POST") and self.faults and "delete" not in environ["QUERY_STRING"]:
            return self._faulted(environ, start, self.faults.pop(0))
        if method == "PUT":
            self._meddle(environ)
        return self._serve(environ, start)

    def _meddle(self, environ: Environ) -> None:
        time.sleep(self.pause)
        if self.careless:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        if self.overtake[0] and environ["PATH_INFO"].endswith(self.overtake[0]):
            environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            environ["wsgi.input"] = io.BytesIO(self.overtake[1])
            environ["CONTENT_LENGTH"] = str(len(self.overtake[1]))

    def _faulted(self, environ: Environ, start: Start, wrong: int | str) -> Iterable[bytes]:
        if isinstance(wrong, int):
            return _failed(environ, start, wrong, "SlowDown")
        if not wrong:
            return self._serve(environ, start)
        if wrong == "cut":
            environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"] or 0) // 2)
        elif wrong == "lost":
            list(self._serve(environ, lambda *_: None))
        else:
            time.sleep(4)
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return []

    def client(self) -> Any:
        """Another library's client, for tests to look with."""
        import boto3

        known = self.environment
        return boto3.client(
            "s3",
            endpoint_url=known["AWS_ENDPOINT_URL"],
            aws_access_key_id="known",
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )

    def upload(self, folder: Path, prefix: str) -> str:
        """The files of a folder; returns their URL."""
        client = self.client()
        for path in folder.iterdir():
            client.upload_file(str(path), BUCKET, f"{prefix}/{path.name}")
        self.count.clear()
        return f"s3://{BUCKET}/{prefix}"

    def close(self) -> None:
        """End it."""
        self._server.shutdown()


def _failed(environ: Environ, start: Start, status: int, code: str) -> Iterable[bytes]:
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start(f"{status} No", [("Content-Type", "application/xml")])
    return [f"<Error><Code>{code}</Code><Message>{SECRET}</Message></Error>".encode()]
