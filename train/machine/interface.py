"""Chooses the network interface over which ranks on several hosts connect.

gloo listens on the address that the host's own name resolves to, and tells the other ranks to connect there. On Debian
and Ubuntu a host's name resolves to 127.0.1.1, which no other host can reach. In that case this module sets
GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME to the interface towards the other hosts. A variable that the user has set is
kept. Before the process group is made, each host tries to connect to rank 0. Without this test, an impossible
connection would be noticed only after the time-out of the process group.
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import NamedTuple, Protocol

from headrace.shards.errors import UsageError
from headrace.train.machine.addresses import address_of_name, address_towards, addresses_of_host

_GLOO, _NCCL = "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"
_TRY_SECONDS = 15.0
_BACKLOG = 1024  # each host makes one connection, all at the same time


class Store(Protocol):
    """The methods of the launcher's key-value store that are needed to choose an interface."""

    def set(self, key: str, value: str, /) -> None:
        """Write a value under a key of the store."""

    def get(self, key: str, /) -> bytes:
        """Wait until the store has the key, and return its value."""


class Way(NamedTuple):
    """An address of a host, and the name of the network interface with this address; "" if the name is unknown."""

    address: str
    interface: str

    def __str__(self) -> str:
        return f"{self.address} ({self.interface})" if self.interface else self.address


def choose_interface(store: Store, rank: int, size: int, main: str, *, tries: bool) -> None:
    """Choose the interface for gloo and NCCL if no other host can reach the address that gloo chooses itself.

    Every rank of all hosts must call this function. It has no effect if all ranks use loopback addresses. `main` is the
    name or address of rank 0's host. With `tries`, this rank tries to connect to rank 0; one rank of each host should
    do so. Raises UsageError on all ranks if any rank cannot connect.
    """
    found = _address_to_others(store, rank, size, main)
    if not store.get("address/0"):
        return
    try:
        used, trouble = _used_by_gloo(found), ""
    except UsageError as error:
        used, trouble = Way("127.0.0.1", ""), f"rank {rank}: {error}"
    if rank:
        trouble = trouble or (_trouble(store, rank, used) if tries else "")
        store.set(f"trouble/{rank}", trouble)
    else:
        try:
            with _listening(store, used):
                troubles = [trouble, *(store.get(f"trouble/{other}").decode() for other in range(1, size))]
        except OSError as error:
            store.set("listens", "")
            troubles = [
                trouble,
                (
                    f"rank 0: cannot listen on {used} ({error.strerror or error}). Name an interface with another "
                    f"address in {_GLOO}"
                ),
            ]
        store.set("verdict", next(filter(None, troubles), ""))
    if verdict := store.get("verdict").decode():
        raise UsageError(verdict)


def _address_to_others(store: Store, rank: int, size: int, main: str) -> str:
    """Return the address from which this rank would send to rank 0.

    On rank 0, return the address from which rank 0 would send to the first other host; "" if there is no other host.
    """
    if rank:
        own = address_towards(main)
        store.set(f"address/{rank}", own)
        return own
    others = [store.get(f"address/{other}").decode() for other in range(1, size)]
    far = next((other for other in others if other and not ip_address(other).is_loopback), "")
    own = address_towards(far) if far else ""
    store.set("address/0", own)
    return own


def _used_by_gloo(found: str) -> Way:
    """Return the address and the interface on which gloo will listen; set the interface in the environment if needed.

    If gloo's default is a loopback address, the variables for gloo and NCCL are set to the interface with the address
    `found`. An interface that the user has set is kept, and so is a default that is not a loopback address.
    """
    interfaces = addresses_of_host()
    if named := os.environ.get(_GLOO, "").split(",")[0]:
        address = next((one for one, name in interfaces.items() if name == named), None)
        if address is None:
            have = ", ".join(f"{name} ({one})" for one, name in interfaces.items())
            raise UsageError(
                f"{_GLOO} is {named}, but this host's interfaces are {have}. Unset {_GLOO}, or name one of these"
            )
        return Way(address, named)
    own = address_of_name()
    if ip_address(own).is_loopback and (interface := interfaces.get(found)):
        os.environ[_GLOO] = interface
        os.environ.setdefault(_NCCL, f"={interface}")
        return Way(found, interface)
    return Way(own, interfaces.get(own, ""))


@contextmanager
def _listening(store: Store, used: Way) -> Iterator[None]:
    """Within this context, rank 0 listens on the address that gloo will use, so that ranks can try to connect."""
    family = socket.AF_INET6 if ip_address(used.address).version == 6 else socket.AF_INET
    with socket.create_server((used.address, 0), family=family, backlog=_BACKLOG) as server:
        store.set("listens", json.dumps([*used, server.getsockname()[1]]))
        yield


def _trouble(store: Store, rank: int, used: Way) -> str:
    """Return why this rank cannot connect to rank 0 from the address that gloo will use; "" if it can connect."""
    if not (listens := store.get("listens")):
        return ""  # rank 0 tells its own trouble
    address, interface, port = json.loads(listens)
    try:
        socket.create_connection((address, port), _TRY_SECONDS, source_address=(used.address, 0)).close()
    except OSError as error:
        return (
            f"rank {rank}: no connection from {used} of this host to {Way(address, interface)} of rank 0's host "
            f"({error.strerror or error}). On each host, name the interface towards the other hosts in {_GLOO}, "
            "or let a firewall between the hosts admit all ports"
        )
    return ""
