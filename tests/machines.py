"""A machine whose interface leads nowhere, and whose names are easily found in files: of host, user and home folder."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.checkout import ROOT, SEARCH

HOST, USER = "host-of-quill", "user-quill"
SECRETS = {
    "WANDB_API_KEY": "0123456789abcdef0123456789abcdef01234567",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI-quill-1",
    "HF_TOKEN": "hf_quill2",
    "FOO_TOKEN": "quill-3-value",
}
# $1: a folder for notes; $2: the host's name; $3: Python. What fails before the command ends with 97.
_INSIDE = """
notes=$1 python=$3
{ ip link set lo up && ip link add outside type veth peer name beyond && ip addr add 198.51.100.2/32 dev outside &&
  ip link set outside up && ip link set beyond up && hostname "$2" &&
  mount --bind "$notes/resolv.conf" /etc/resolv.conf &&
  mount --bind "$notes/hosts" /etc/hosts; } || exit 97
shift 3
"$python" -m tests.resolver "$notes/asked" "$notes/listened" &
resolver=$!
trap 'kill $resolver' EXIT
for _ in $(seq 300); do [ -e "$notes/asked" ] && break; sleep 0.1; done
getent hosts canary.invalid
"$@"
code=$?
cat /proc/net/snmp /proc/net/snmp6 > "$notes/counted"
exit $code
"""
_CANARY = "canary.invalid"


class Notes(NamedTuple):
    """What was seen of a command on such a machine."""

    ended: subprocess.CompletedProcess[str]
    asked: list[str]
    """Names that the resolver was asked for."""
    unroutable: int
    """Packets and connections to addresses that no route leads to: all but those of this machine."""
    listened: list[str]
    """Addresses on which a TCP socket waited for connections."""


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of that user, with values that look like tokens."""
    named = {"HOME": str(home), "USER": USER, "LOGNAME": USER, "HOSTNAME": HOST, "PYTHONPATH": SEARCH}
    return {**os.environ, **named, **SECRETS, **more}


def run(notes: Path, command: Sequence[str | Path], env: dict[str, str], timeout: float) -> Notes:
    """Run a command on such a machine; notes are written to the folder `notes`. Skips if this system has none."""
    unshare = shutil.which("unshare")
    missing = [tool for tool in ("unshare", "ip", "mount", "hostname", "getent") if shutil.which(tool) is None]
    if missing or unshare is None:
        pytest.skip(f"no {', '.join(missing)} on this system")
    (notes / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    (notes / "hosts").write_text("127.0.0.1 localhost\n")  # not the host itself: looking it up would be noticed
    rootless = ["--map-root-user"] if os.geteuid() else []
    inside: list[str | Path] = ["sh", "-c", _INSIDE, "sh", notes, HOST, sys.executable]
    ended = subprocess.run(
        [unshare, *rootless, "--net", "--uts", "--mount", *inside, *command],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    asked = (notes / "asked").read_text().split() if (notes / "asked").exists() else []
    if _CANARY not in asked:
        pytest.skip(f"network namespaces are not allowed here: {ended.stderr.strip()[-300:]}")
    assert (notes / "counted").exists(), ended.stderr
    unroutable = _unroutable((notes / "counted").read_text())
    listened = (notes / "listened").read_text().split()
    return Notes(ended, [one for one in asked if one != _CANARY], unroutable, listened)


def _unroutable(counted: str) -> int:
    """The counter OutNoRoutes of the kernel, of both versions of IP."""
    names, numbers = (line.split() for line in counted.splitlines() if line.startswith("Ip:"))
    six = next((line.split()[1] for line in counted.splitlines() if line.startswith("Ip6OutNoRoutes")), "0")
    return int(dict(zip(names, numbers, strict=True))["OutNoRoutes"]) + int(six)
