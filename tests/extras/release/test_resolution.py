"""What the requirements lead to on systems other than this one: uv resolves them from the index, and installs nothing.

Only wheels count, but for efficientnet_pytorch, which has none: it is one file of Python, and pip builds it anywhere.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.project.test_requirements import PROJECT

pytestmark = pytest.mark.timeout(900)  # the index answers when it does
UV = Path(sys.executable).with_name("uv")
LINUX = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28")
OTHERS = ("aarch64-apple-darwin", "x86_64-pc-windows-msvc")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
EXTRAS = tuple(name for name in PROJECT["optional-dependencies"] if name != "dev")
NEWER_MACOS = "14.0"
"""For extras: onnxruntime has no wheel for Python 3.14 and macOS 13, which uv takes by default."""
OF_NVIDIA = {"nvidia-dali-cuda120", "nvidia-nvimgcodec-cu12"}


def resolved(platform: str, python: str, *extras: str) -> dict[str, str]:
    """The version of each distribution on that system with these extras. Fails with uv's words if there is none."""
    command: list[str | Path] = [
        UV,
        "pip",
        "compile",
        ROOT / "pyproject.toml",
        "--python-platform",
        platform,
        "--python-version",
        python,
    ]
    command += ["--only-binary=:all:", "--no-binary=efficientnet-pytorch", "--no-header", "--no-annotate", "--quiet"]
    command += [f"--extra={name}" for name in extras]
    env = os.environ | ({"MACOSX_DEPLOYMENT_TARGET": NEWER_MACOS} if extras else {})
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", done.stdout, re.MULTILINE))


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("platform", LINUX + OTHERS)
def test_bare_install_resolves(platform: str, python: str) -> None:
    """On each system and Python; NVIDIA's decoders, which exist for Linux alone, are left out elsewhere."""
    found = resolved(platform, python)
    assert {"torch", "numba", "pyarrow", "efficientnet-pytorch"} <= found.keys()
    assert found.keys() & OF_NVIDIA == (OF_NVIDIA if platform in LINUX else set())


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("platform", LINUX + OTHERS)
def test_extras_resolve_together(platform: str, python: str) -> None:
    """All of them in one environment, on each system and Python."""
    found = resolved(platform, python, *EXTRAS)
    assert {"timm", "onnxruntime", "obstore", "duckdb", "mlflow-skinny", "wandb", "tensorboard"} <= found.keys()
    assert found.keys() & OF_NVIDIA == (OF_NVIDIA if platform in LINUX else set())


def test_classifiers_name_what_resolves() -> None:
    """The index shows these versions of Python to users."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = [one.rpartition(" ")[2] for one in project["classifiers"] if ":: 3." in one]
    assert named == list(PYTHONS)
