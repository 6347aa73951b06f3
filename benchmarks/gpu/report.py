"""Writes the result as one JSON and one page of tables, again after every part, so that no part is lost."""

import subprocess
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness import result
from benchmarks.harness.tables import markdown

DRY = "dry run, no measurement"


def about(command: str, data: str, *, dry: bool) -> dict[str, Any]:
    """Facts about the result: device, driver, versions, commit."""
    facts = result.facts(command, data=data)
    if dry:
        return {"result": DRY, **facts}
    properties = torch.cuda.get_device_properties(0)  # takes no device memory, which parts would lack
    return {
        **facts,
        "device": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "memory": f"{properties.total_memory / 2**30:.1f} GiB",
        "driver": driver(),
        "CUDA of torch": torch.version.cuda,
        "cuDNN": torch.backends.cudnn.version(),
    }


def driver() -> str:
    """The version of NVIDIA's driver, or the reason why it is unknown."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.split()[0]
    except (OSError, IndexError, subprocess.SubprocessError):
        return "unknown: nvidia-smi does not say"


def write(path: Path, facts: dict[str, Any], parts: dict[str, dict[str, Any]]) -> None:
    """Write `path`.json and `path`.md. `parts` has the method and the tables of each part, or why it failed."""
    mark = f" ({DRY})" if facts.get("result") == DRY else ""
    lines = result.heading(f"The GPU path{mark}", facts)
    for name, part in parts.items():
        lines += [f"## {name}{mark}", "", part["method"].strip(), "", f"Took {part['seconds']:.0f} s.", ""]
        if "failed" in part:
            lines += [f"Failed: {part['failed']}", ""]
        for heading, rows in part.get("tables", {}).items():
            lines += [f"### {heading}{mark}", "", markdown(rows), ""]
    result.write_pair(path, {**facts, "parts": parts}, lines)
