"""What a run was made with: versions, machine, shard set, and the commit where there is one."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from headrace.shards.cores import usable_cores
from headrace.shards.version import running_version
from headrace.train.machine.device import Accelerator
from headrace.train.machine.world import World

_PACKAGES = (
    "torch",
    "nvidia-dali-cuda120",
    "nvidia-dali-cuda130",
    "efficientnet_pytorch",
    "numpy",
    "pyarrow",
)


def describe(accelerator: Accelerator, world: World, threads: int, precision: str, shard_set: str) -> dict[str, Any]:
    """Plain values for environment.json and checkpoints."""
    return {
        "versions": {"python": platform.python_version(), **versions()},
        "commit": commit(),
        "device": accelerator.name,
        "processor": processor(),
        "cores": usable_cores(),
        "processes": world.size,
        "threads": threads,
        "precision": precision,
        "shard_set": shard_set,
    }


def versions() -> dict[str, str]:
    """Version of each package that can change a result, Headrace first; those not installed are left out."""
    found = {"headrace": running_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The processor's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit() -> str | None:
    """The commit that this code is at, None outside a checkout."""
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return None
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
