"""A web server behind TLS: nginx, with an authority of its own."""

import shutil
import subprocess
import time
from pathlib import Path

from tests.ddp.processes import free_port

NGINX = """\
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error;
events {{ worker_connections 64; }}
http {{
  access_log {folder}/access; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
           location /set/ {{ alias {root}/; }} }}
}}
"""


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["/usr/bin/openssl", *words], check=True, capture_output=True, cwd=folder)


class Nginx:
    """Debian's nginx with an authority of its own, for the files of a folder."""

    def __init__(self, root: Path, folder: Path) -> None:
        port = free_port()
        new = ["req", "-newkey", "rsa:2048", "-nodes", "-subj"]
        _openssl(folder, *new, "/CN=tests", "-x509", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem")
        _openssl(folder, *new, "/CN=localhost", "-keyout", "key.pem", "-out", "request.pem")
        (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
        sign = ["x509", "-req", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names"]
        _openssl(folder, *sign, "-days", "2", "-in", "request.pem", "-out", "cert.pem")
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, root=root))
        binary = shutil.which("nginx") or "/usr/sbin/nginx"
        self._process = subprocess.Popen([binary, "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL)
        self.url, self.environment = f"https://127.0.0.1:{port}/set", {"SSL_CERT_FILE": str(folder / "ca.pem")}
        self.access = folder / "access"
        time.sleep(0.5)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)
