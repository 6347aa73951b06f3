"""SLURM on the loopback interface, for the time of the tests: munge, controller and one node of two cores, as root."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.checkout import SEARCH

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={next_port}
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
KillWait=30
NodeName={host} NodeAddr=127.0.0.1 Port={next_port} CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
PORT, PATIENCE = 26817, 280.0


class Slurm(NamedTuple):
    """A cluster: how its commands are run."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: object, **variables: str) -> subprocess.CompletedProcess[str]:
        """A command of a user of the cluster."""
        return subprocess.run(
            list(map(str, command)),
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def submit(self, script: Path, *options: str) -> str:
        """Submit a batch script: the number of its job."""
        done = self.run("sbatch", "--parsable", *options, script)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def wait(self, job: str, *states: str) -> None:
        """Until the job is in one of these states."""
        end = time.monotonic() + PATIENCE
        while (state := self.state(job)) not in states:
            assert time.monotonic() < end, f"job {job} is {state}"
            time.sleep(0.5)

    def state(self, job: str) -> str:
        """What a job does, in SLURM's word."""
        shown = self.run("scontrol", "--oneliner", "show", "job", job).stdout
        return next((word.removeprefix("JobState=") for word in shown.split() if word.startswith("JobState=")), "")


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """A cluster of one node. Skips where its daemons cannot be had."""
    tools = {name: shutil.which(name) for name in ("munged", "slurmctld", "slurmd")}
    if os.geteuid() or not all(tools.values()):
        pytest.skip("SLURM's daemons are not there, or this is not root")
    folder = tmp_path_factory.mktemp("slurm")
    for above in (folder, *folder.parents[:2]):
        above.chmod(0o755)
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    configuration = folder / "slurm.conf"
    host = os.uname().nodename.split(".")[0]
    configuration.write_text(CONFIGURATION.format(host=host, folder=folder, port=PORT, next_port=PORT + 1))
    environment = {**os.environ, "SLURM_CONF": str(configuration), "PYTHONPATH": SEARCH}
    files = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    daemons = [
        [str(tools["munged"]), "--foreground", "--force", f"--socket={folder}/munge.socket", *files],
        [str(tools["slurmctld"]), "-D"],
        [str(tools["slurmd"]), "-D", "-N", host],
    ]
    started = []
    try:
        for number, daemon in enumerate(daemons):
            log = (folder / f"daemon-{number}.log").open("w")
            started.append(subprocess.Popen(daemon, env=environment, stdout=log, stderr=log))
            time.sleep(2)
        cluster = Slurm(folder, environment)
        _wait_until_idle(cluster)
        yield cluster
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(30)


def _wait_until_idle(cluster: Slurm) -> None:
    end = time.monotonic() + 60
    while "idle" not in cluster.run("sinfo", "--noheader", "--format=%t").stdout:
        logs = "\n".join(path.read_text() for path in cluster.folder.glob("daemon-*.log"))
        assert time.monotonic() < end, logs
        time.sleep(0.5)
