"""Azure by azurite, on the loopback interface."""

import base64
import hmac
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.ddp.processes import free_port
from tests.extras.cloud.asked import BUCKET


class Azure:
    """azurite, of its own processes, where npm has installed it."""

    _KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # of all azurites

    def __init__(self, program: Path, folder: Path) -> None:
        port = free_port()
        words = ["--silent", "--skipApiVersionCheck", "--disableTelemetry", "--location", str(folder)]
        self._process = subprocess.Popen([str(program), *words, "--blobPort", str(port)], stdout=subprocess.DEVNULL)
        endpoint = f"http://127.0.0.1:{port}/devstoreaccount1"
        self.environment = {
            "AZURE_STORAGE_ACCOUNT_NAME": "devstoreaccount1",
            "AZURE_STORAGE_ACCOUNT_KEY": self._KEY,
            "AZURE_STORAGE_ENDPOINT": endpoint,
            "AZURE_ALLOW_HTTP": "true",
        }
        self._make_container(endpoint)

    def _make_container(self, endpoint: str) -> None:
        date, version = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()), "2021-08-06"
        resource = f"/devstoreaccount1/devstoreaccount1/{BUCKET}\nrestype:container"
        text = "PUT" + 12 * "\n" + f"x-ms-date:{date}\nx-ms-version:{version}\n{resource}"
        signed = base64.b64encode(hmac.digest(base64.b64decode(self._KEY), text.encode(), "sha256")).decode()
        headers = {"x-ms-date": date, "x-ms-version": version, "Content-Length": "0"}
        headers["Authorization"] = f"SharedKey devstoreaccount1:{signed}"
        url = f"{endpoint}/{BUCKET}?restype=container"
        asked = urllib.request.Request(url, method="PUT", headers=headers)  # noqa: S310  its own server's
        for _ in range(100):
            try:
                urllib.request.urlopen(asked).close()  # noqa: S310  as above
            except urllib.error.HTTPError:
                raise
            except OSError:
                time.sleep(0.2)
            else:
                return
        raise TimeoutError("azurite does not answer")

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)
