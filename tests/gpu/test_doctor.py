"""The doctor and the trace of a run where there is a GPU: the rungs and the names that only it has."""

import gzip
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from headrace.train.machine.profile import Part
from tests.checkout import HEADRACE

JOB = ("--recipe=demo", "--set=train.global_batch=48", "--set=train.group=8")


def headrace(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """`headrace ARGUMENTS`."""
    command = [*HEADRACE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=280, env=dict(os.environ))


def test_ladder_has_the_copy_and_the_other_decoder(tiny_set: Path) -> None:
    """Step and input have cores of their own, so that the ceiling is 1."""
    done = headrace("doctor", tiny_set, *JOB, "--set=runtime.decode=cpu", "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["job"]["gpu"]
    assert found["ceiling"] == 1
    assert {"read", "decode", "copy", "input", "mixed", "step", "whole"} <= found["rungs"].keys()


def test_trace_has_kernels_and_parts(tiny_set: Path, tmp_path: Path) -> None:
    """What the GPU computes stands beside the parts that asked for it."""
    once = ("--set=train.epochs=1", "--set=runtime.verdict=false")
    done = headrace("train", tiny_set, *JOB, *once, "--profile=3", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    events = json.loads(gzip.decompress((tmp_path / "run" / "trace-rank0.json.gz").read_bytes()))["traceEvents"]
    assert any(event.get("cat") == "kernel" for event in events)
    assert {part.value for part in Part} - {"reduce"} <= {event.get("name") for event in events}
