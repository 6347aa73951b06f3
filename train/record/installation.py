"""Finds the installed versions, the processor and the commit, without importing the packages that it lists."""

import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from headrace.shards.cores import usable_cores
from headrace.shards.version import running_version

_PACKAGES = (
    "torch",
    "nvidia-dali-cuda120",
    "nvidia-dali-cuda130",
    "efficientnet_pytorch",
    "numpy",
    "pyarrow",
)

# Other packages that errors may come from
_OTHERS = ("numba", "simplejpeg", "pillow", "pydantic", "click", "obstore", "timm")
_GPUS = Path("/proc/driver/nvidia/gpus")


def about() -> dict[str, Any]:
    """Return facts about this installation for a bug report, without names of users, hosts or folders."""
    return {
        "headrace": running_version(),
        "commit": commit(),
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": processor(),
        "cores": usable_cores(),
        "gpus": gpus(),
        "packages": {name: version for name, version in versions(_PACKAGES + _OTHERS).items() if name != "headrace"},
    }


def gpus() -> list[str]:
    """Return the model names of GPUs that NVIDIA's driver lists under /proc; the driver's libraries are not loaded."""
    found = []
    for file in sorted(_GPUS.glob("*/information")):
        lines = file.read_text("utf-8", errors="replace").splitlines()
        found += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return found


def versions(packages: tuple[str, ...] = _PACKAGES) -> dict[str, str]:
    """Return the version of each of `packages`, Headrace first; the default packages are those that affect results.

    Packages that are not installed are omitted.
    """
    found = {"headrace": running_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """Return the processor's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit() -> str | None:
    """Return the git commit of this code; None if the code is not in a checkout."""
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return None
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
