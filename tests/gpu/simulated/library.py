"""The library that tells torch it has CUDA: built once, loaded before torch."""

import ctypes
import hashlib
import importlib.util
import shutil
import subprocess
from pathlib import Path

TORCH = "2.13.0"
"""The torch whose interfaces the source implements."""
SOURCE = Path(__file__).with_name("fake_cuda.cpp")
_LOADED_BEFORE = ("libgomp*", "libc10.so", "libtorch_cpu.so")


def missing() -> str:
    """Why it cannot be built here, or nothing."""
    from importlib.metadata import version

    if not version("torch").startswith(TORCH):
        return f"the simulated CUDA is written for torch {TORCH}; this is {version('torch')}"
    return "" if compiler() else "needs g++"


def compiler() -> str:
    """The C++ compiler, or nothing."""
    return shutil.which("g++") or ""


def build(folder: Path) -> Path:
    """The library in this folder, built unless it is there. Raises CalledProcessError where the compiler fails."""
    out = folder / f"fake-cuda-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]}.so"
    if not out.exists():
        include = _torch() / "include"
        headers = [word for path in (include, include / "torch" / "csrc" / "api" / "include") for word in ("-I", path)]
        fresh = out.with_suffix(".partial")
        subprocess.run([compiler(), "-std=c++20", "-O0", "-fPIC", "-shared", SOURCE, "-o", fresh, *headers], check=True)
        fresh.replace(out)
    return out


def load(library: Path) -> None:
    """Have torch find it. Before torch is imported, in a process that does nothing else."""
    for pattern in _LOADED_BEFORE:
        for found in sorted((_torch() / "lib").glob(pattern)):
            ctypes.CDLL(str(found), mode=ctypes.RTLD_GLOBAL)
    ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


def _torch() -> Path:
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("torch")
    return Path(found.origin).parent
