"""Hosts of a test's own: network namespaces joined by a bridge, with names and hosts files as Debian's."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.checkout import ROOT

_TOOLS = {tool: shutil.which(tool) or "" for tool in ("ip", "unshare")}
_NAMES = Path("/etc/netns")  # `ip netns exec` puts what lies there over /etc


class Host(NamedTuple):
    """A host: its name, its address, and its network namespace."""

    name: str
    address: str
    space: str
    mounted: str = ""  # a command that mounts something for this host alone

    @property
    def prefix(self) -> list[str]:
        """What stands before a command that runs on this host."""
        named = f'hostname {self.name}; {self.mounted or ":"}; exec "$@"'
        return ["ip", "netns", "exec", self.space, "unshare", "--uts", "sh", "-c", named, "sh"]

    def processes(self) -> list[int]:
        """All that runs there."""
        return [int(one) for one in _ip("netns", "pids", self.space).split()]

    def signal(self, number: int) -> None:
        """Send a signal to all that runs there."""
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process, number)

    def unplug(self) -> None:
        """Take its network away: from then on nobody hears of it, not even that it is gone."""
        _ip("-n", self.space, "link", "set", "eth0", "down")

    def plug(self) -> None:
        """Give its network back."""
        _ip("-n", self.space, "link", "set", "eth0", "up")

    def lose_patience(self) -> None:
        """Give up on a peer that does not answer after some 13 s, not 15 minutes: five retransmissions, not 15."""
        _ip("netns", "exec", self.space, "sysctl", "-q", "-w", "net.ipv4.tcp_retries2=5")

    def vanish(self) -> None:
        """Lose its power: no word reaches the others."""
        self.unplug()
        while self.processes():
            self.signal(9)
            time.sleep(0.05)


@contextmanager
def hosts(count: int) -> Iterator[list[Host]]:
    """So many hosts, removed at the end with all that runs on them. Skips where they cannot be made."""
    if reason := _refusal():
        pytest.skip(reason)
    mark = f"hr{os.getpid() % 100000}"
    switch = f"{mark}s"
    made = [Host(f"host{number}", f"10.77.0.{number + 1}", f"{mark}h{number}") for number in range(count)]
    try:
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for number, host in enumerate(made):
            _make(host, switch, f"port{number}", made)
        yield made
    finally:
        for host in made:
            _remove(host)
        _ip("netns", "del", switch, check=False)


def _refusal() -> str:
    """Why this machine has no hosts for tests; "" where it has."""
    if os.geteuid():
        return "hosts of a test are network namespaces, which only root makes"
    if missing := [tool for tool, path in _TOOLS.items() if not path]:
        return f"hosts of a test need {', '.join(missing)}"
    tried = subprocess.run(
        [_TOOLS["unshare"], "-n", "ip", "link", "add", "trial", "type", "bridge"], check=False, capture_output=True
    )
    return "network namespaces or bridges are not allowed here" if tried.returncode else ""


def _make(host: Host, switch: str, port: str, everyone: Sequence[Host]) -> None:
    _ip("netns", "add", host.space)
    _ip("-n", switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host.space)
    _ip("-n", switch, "link", "set", port, "master", "bridge", "up")
    _ip("-n", host.space, "address", "add", f"{host.address}/24", "dev", "eth0")
    for interface in ("lo", "eth0"):
        _ip("-n", host.space, "link", "set", interface, "up")
    names = ["127.0.0.1 localhost", f"127.0.1.1 {host.name}", *(f"{one.address} {one.name}" for one in everyone)]
    folder = _NAMES / host.space
    folder.mkdir(parents=True)
    (folder / "hosts").write_text("\n".join(names) + "\n")


def _remove(host: Host) -> None:
    with suppress(subprocess.CalledProcessError):  # it was never made
        host.signal(9)
    _ip("netns", "del", host.space, check=False)
    shutil.rmtree(_NAMES / host.space, ignore_errors=True)


def _ip(*words: str, check: bool = True) -> str:
    return subprocess.run([_TOOLS["ip"], *words], check=check, capture_output=True, text=True, cwd=ROOT).stdout
