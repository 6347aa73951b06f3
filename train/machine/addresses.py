"""Finds addresses of this host: all addresses, the one that it uses to reach another host, and the one of its name."""

import array
import socket
import struct
from contextlib import suppress
from pathlib import Path

_SIOCGIFCONF, _ENTRY, _MOST = 0x8912, 40, 256  # <linux/sockios.h>; bytes of struct ifreq on 64-bit systems; entries
_ANY_PORT = 9


def addresses_of_host() -> dict[str, str]:
    """Return a dict from each address of this host to the name of its network interface, IPv4 addresses first.

    The result is empty on systems other than Linux.
    """
    import fcntl  # noqa: PLC0415  Windows has none, where exports import this module

    table = array.array("B", bytes(_ENTRY * _MOST))
    found = {}
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        asked = struct.pack("iL", len(table), table.buffer_info()[0])
        filled, _ = struct.unpack("iL", fcntl.ioctl(probe, _SIOCGIFCONF, asked))
        for begin in range(0, filled, _ENTRY):
            entry = table[begin : begin + _ENTRY].tobytes()
            name = entry[:16].split(b"\0")[0].decode().split(":")[0]  # a second address has a label, eth0:1
            found[socket.inet_ntoa(entry[20:24])] = name
    with suppress(OSError):
        for line in Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines():
            digits, *_, name = line.split()
            found[socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))] = name
    return found


def address_towards(host: str) -> str:
    """Return the address from which this host would send to `host`; "" if there is no route. Sends nothing."""
    with suppress(OSError):
        family, kind, _, _, address = socket.getaddrinfo(host, _ANY_PORT, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    return ""


def address_of_name() -> str:
    """Return gloo's default address: the first address of this host that its name resolves to, or else 127.0.0.1."""
    with suppress(OSError):
        for family, kind, _, _, address in socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM):
            with suppress(OSError), socket.socket(family, kind) as probe:
                probe.bind(address)
                return str(address[0])
    return "127.0.0.1"
