"""requirements/cpu.txt: what a bare install needs, each at the tested version and with the hashes of its files.

`make requirements` writes it again. torch is left out, because the build for CPUs and the one for CUDA have the same
version and different files, and where each comes from is for the user to choose.
"""

import re
import subprocess
import sys
from importlib.metadata import requires

from packaging.requirements import Requirement

from tests.checkout import ROOT
from tests.project.test_requirements import PROJECT, canonical

PAGE = ROOT / "requirements/cpu.txt"
HEAD = """\
# The tested set without extras, on Linux x86-64, with hashes. `make requirements` writes this file.
# torch is not in it: the builds for CPUs and for CUDA share one version and differ in their files. Install yours first:
#   pip install torch==TORCH
#   pip install --require-hashes --no-deps -r requirements/cpu.txt
"""
CUDA_OF_TORCH = ("cuda-", "nvidia-", "triton")
"""What torch's builds for CUDA require and its builds for CPUs do not: it comes with torch."""


def constraints() -> dict[str, str]:
    """The tested version of each distribution."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = (line.split(";")[0].strip().split("==") for line in lines if not line.startswith("#"))
    return {canonical(name): version for name, version in pins}


def closure() -> dict[str, str]:
    """Versions of all that a bare install requires, directly or not, but for torch, by constraints.txt."""
    pins, found, waiting = constraints(), set[str](), [(one, "") for one in PROJECT["dependencies"]]
    while waiting:
        text, parent = waiting.pop()
        one = Requirement(text)
        name = canonical(one.name)
        of_cuda = parent == "torch" and name.startswith(CUDA_OF_TORCH)
        if name in found or of_cuda or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        waiting += [(inner, name) for inner in requires(name) or []]
    return {name: pins[name] for name in sorted(found - {"torch"})}


def pinned(text: str) -> dict[str, str]:
    """The versions that a file of pinned requirements holds."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def main() -> None:
    """Write the file with the uv that the command line names."""
    wanted = "".join(f"{name}=={version}\n" for name, version in closure().items())
    plain = ("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--no-config", "--quiet")
    command = [sys.argv[1], "pip", "compile", "--no-deps", "--generate-hashes", *plain, "-"]
    written = subprocess.run(command, input=wanted, stdout=subprocess.PIPE, text=True, check=True).stdout
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(HEAD.replace("TORCH", constraints()["torch"]) + written, encoding="utf-8")


if __name__ == "__main__":
    main()
