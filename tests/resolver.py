"""Watches a machine: a resolver that knows no name and writes down each that it is asked for, and who listens.

The arguments are two files: for names, and for addresses on which TCP sockets wait for connections.
"""

import socket
import sys
import threading
import time
from pathlib import Path

from tests.faults.sockets import table

NO_SUCH_NAME = b"\x81\x83"
PORT = 53
LOOK_SECONDS = 0.02


def name_in(question: bytes) -> str:
    """The name in a query of the DNS, whose header takes 12 bytes."""
    place, labels = 12, []
    while length := question[place]:
        labels.append(question[place + 1 : place + 1 + length].decode("ascii", "replace"))
        place += 1 + length
    return ".".join(labels)


def watch(path: Path) -> None:
    """Look at the kernel's tables forever, and write each new address of a listening socket."""
    known: set[str] = set()
    with path.open("w", encoding="utf-8") as listened:
        while True:
            found = {str(address) for name in ("tcp", "tcp6") for _, address, _ in table(Path("/proc/net", name))}
            listened.writelines(f"{one}\n" for one in sorted(found - known))
            listened.flush()
            known |= found
            time.sleep(LOOK_SECONDS)


def main() -> None:
    """Answer forever; the file of names is there as soon as queries are answered."""
    threading.Thread(target=watch, args=(Path(sys.argv[2]),), daemon=True).start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as served:
        served.bind(("127.0.0.1", PORT))
        with Path(sys.argv[1]).open("w", encoding="utf-8") as asked:
            while True:
                question, peer = served.recvfrom(4096)
                asked.write(name_in(question) + "\n")
                asked.flush()
                served.sendto(question[:2] + NO_SUCH_NAME + question[4:6] + bytes(6) + question[12:], peer)


if __name__ == "__main__":
    main()
