import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.faults.runs import arguments, losses, running, wait_for
from tests.faults.sockets import listening

# Run by every Python process of the run before anything else: notes what each unpickler is asked to import, and whether
# it is numba's, which keeps its compiled loops so.
HOOK = """
import os, sys

def note(event, values):
    if event == "pickle.find_class":
        frame, numba = sys._getframe(1), False
        while frame is not None and not numba:
            numba, frame = "/numba/" in frame.f_code.co_filename, frame.f_back
        with open(os.path.join(os.path.dirname(__file__), f"{os.getppid()}-{os.getpid()}"), "a") as file:
            file.write(f"{'loops' if numba else 'other'} {values[0]}.{values[1]}\\n")

sys.addaudithook(note)
"""
# A machine whose name leads to an address that others can reach, which gloo would choose by itself.
MACHINE = """
set -e
ip link set lo up
ip link add left type veth peer name right
ip addr add 10.86.0.2/24 dev left
ip link set left up
ip link set right up
hostname headrace-test
mount --bind "$1" /etc/hosts
shift
exec "$@"
"""
NOISE = """
import os, socket, sys
for port in map(int, sys.argv[1:]):
    for size in (0, 1, 4, 8, 64, 4096, 1 << 20):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
            try:
                peer.sendall(os.urandom(size))
            except OSError:
                pass
    print(port)
"""


def machine(folder: Path) -> list[str]:
    """The words that start a command on such a machine; skips the test if this system does not allow it."""
    missing = [tool for tool in ("unshare", "nsenter", "ip") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)} on this system")
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 localhost\n10.86.0.2 headrace-test\n")
    rootless = ["--map-root-user"] if os.geteuid() else []
    command = ["unshare", *rootless, "--net", "--uts", "--mount", "sh", "-c", MACHINE, "sh", str(hosts)]
    tried = subprocess.run([*command, "getent", "hosts", "headrace-test"], capture_output=True, text=True, check=False)
    if "10.86.0.2" not in tried.stdout:
        pytest.skip(f"network namespaces are not allowed here: {tried.stderr.strip() or tried.stdout.strip()}")
    return command


@pytest.mark.faults
def test_nobody_on_the_network_reaches_a_run(
    tiny_set: Path, pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --nproc every listening socket is on loopback, noise there changes no loss, and only loops are unpickled."""
    prefix, hook, out = machine(tmp_path), tmp_path / "hook", tmp_path / "run"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(HOOK)
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "left")
    given, slow = arguments(tiny_set, out, "--nproc", "2"), {"what": "slow", "seconds": 0.3}
    with running(given, fault=slow, prefix=prefix, path=(hook,)) as process:
        wait_for(out, 2, process)
        sockets = listening(process.pid)
        assert len(sockets) >= 2  # gloo's, of each rank
        assert [socket for socket in sockets if not socket.address.is_loopback] == []
        ports = [str(socket.port) for socket in sockets]
        inside = ["nsenter", f"--net=/proc/{process.pid}/ns/net", *(["--user"] if os.geteuid() else [])]
        noise = subprocess.run(
            [*inside, "python3", "-c", NOISE, *ports], capture_output=True, text=True, check=True, timeout=60
        )
        output, errors = process.communicate(timeout=250)
    assert process.returncode == 0, output + errors
    assert noise.stdout.split() == ports
    assert losses(out) == losses(pair)
    found = {path.name: set(path.read_text().splitlines()) for path in hook.glob("*-*")}
    assert len([name for name in found if name.startswith(f"{process.pid}-")]) == 2  # the ranks, which load loops
    assert [line for lines in found.values() for line in lines if not line.startswith("loops ")] == []
