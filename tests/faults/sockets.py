"""The processes of a run, and the TCP sockets on which they listen, as the kernel lists them."""

import ipaddress
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Listening(NamedTuple):
    """One socket that waits for connections."""

    process: int
    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int


def children(process: int) -> list[int]:
    """The processes that a process has started, on any of its threads."""
    listings = Path(f"/proc/{process}/task").glob("*/children")
    return [int(number) for listing in listings for number in listing.read_text().split()]


def family(process: int) -> list[int]:
    """A process and all that it has started, directly or not."""
    return [process, *(one for child in children(process) for one in family(child))]


def listening(process: int) -> list[Listening]:
    """Every TCP socket on which a process of this family listens, seen from its own network namespace."""
    return [
        Listening(one, address, port)
        for one in family(process)
        for version in ("tcp", "tcp6")
        for inode, address, port in table(Path(f"/proc/{one}/net/{version}"))
        if inode in _inodes(one)
    ]


def _inodes(process: int) -> set[str]:
    found = set()
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.update(re.findall(r"socket:\[(\d+)\]", str(descriptor.readlink())))
    return found


def table(path: Path) -> list[tuple[str, ipaddress.IPv4Address | ipaddress.IPv6Address, int]]:
    """(inode, address, port) of each listening socket in a table of the kernel."""
    rows = [line.split() for line in path.read_text().splitlines()[1:]]
    return [(row[9], *_endpoint(row[1])) for row in rows if row[3] == "0A"]  # TCP_LISTEN


def _endpoint(text: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    """`0100007F:1F90` as address and port; the kernel writes addresses as words of this machine's byte order."""
    words, port = text.split(":")
    raw = b"".join(int(words[i : i + 8], 16).to_bytes(4, "little") for i in range(0, len(words), 8))
    address = ipaddress.ip_address(raw)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address, int(port, 16)
