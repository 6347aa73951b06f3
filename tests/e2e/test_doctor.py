"""`headrace doctor` on small jobs: what it prints, its gate, and what it leaves alone. Its processes are real."""

import json
import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks.doctor.slowdowns import compile_library
from headrace.shards.shardset import ShardSet
from headrace.train.doctor import examination
from headrace.train.doctor.apart import measure_apart
from headrace.train.doctor.asked import Asked, Kind, Part
from headrace.train.doctor.examination import Examination, examine
from headrace.train.doctor.page import page
from headrace.train.doctor.shape import Budget
from headrace.train.input.decode.cache_fill import open_cache_alone
from tests.e2e.commands import Ended, here, refused

QUICK = Budget(0.5)
SCALE = tuple(range(1, min(2, len(os.sched_getaffinity(0))) + 1))
SMALL = ("augment.size=32", "train.global_batch=32", "train.group=16", "runtime.threads=1", "runtime.precision=fp32")
JOB = ("--recipe=demo", *(f"--set={setting}" for setting in SMALL))
NUMBER = (int, float)
SHAPE: dict[str, Any] = {
    "format": int, "job": dict, "cores": dict, "rungs": dict, "real": NUMBER, "synthetic": NUMBER, "ratio": NUMBER,
    "ratios": list, "synthetic_against_itself": list, "ceiling": NUMBER, "ratio_of_ceiling": NUMBER, "stall": NUMBER,
    "prep_stall": NUMBER, "fetch_stall": NUMBER, "binding": dict, "gains": dict, "finding": str,
    "knob": (dict, type(None)), "cold": (dict, type(None)), "scale": (dict, type(None)), "gate": (dict, type(None)),
    "network": (dict, type(None)),
}  # fmt: skip
RUNG = ["images_per_second", "least", "most", "turns", "cpu_microseconds", "waited", "times_real"]


def doctor(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> Ended:
    """`headrace doctor ARGUMENTS` with little time for each rung."""
    monkeypatch.setattr(examination, "examine", partial(examine, budget=QUICK))
    return here("doctor", *arguments)


@pytest.fixture(scope="module")
def examined(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Examination:
    """A copy of the drawn set, examined in every way; a thread where there are cores for more is a knob to try."""
    copied = shutil.copytree(tiny_set, tmp_path_factory.mktemp("doctor") / "set")
    for path in copied.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())  # pages that nobody has written yet cannot be evicted
    before = {path: path.stat().st_mtime_ns for path in copied.parent.rglob("*")}
    found = examine(Asked(copied, "demo", SMALL), scale=(1,), attempt=True, cold=True, budget=QUICK)
    assert {path: path.stat().st_mtime_ns for path in copied.parent.rglob("*")} == before, "nothing is written"
    return found


@pytest.mark.timeout(900)  # seconds where the cores are busy with other work
@pytest.mark.parametrize(("gate", "code"), [(1000, 1), (0.01, 0)])
def test_object_has_its_keys(
    examined: Examination, tiny_set: Path, monkeypatch: pytest.MonkeyPatch, gate: float, code: int
) -> None:
    """--json prints one object, of these keys and kinds; a missed gate is exit code 1, a reached one 0."""
    monkeypatch.setattr(examination, "examine", lambda *_, min_ratio, **__: replace(examined, min_ratio=min_ratio))
    ended = here("doctor", tiny_set, *JOB, "--json", f"--min-ratio={gate}")
    assert ended.code == code, ended.stderr
    found = json.loads(ended.stdout)
    assert found.keys() == SHAPE.keys()
    assert [key for key, kinds in SHAPE.items() if not isinstance(found[key], kinds)] == []
    assert {"read", "decode", "input", "step", "whole"} <= found["rungs"].keys()
    assert all(list(rung) == RUNG for rung in found["rungs"].values())
    assert all(rung["least"] <= rung["images_per_second"] <= rung["most"] for rung in found["rungs"].values())
    assert 0 < found["ceiling"] < 1 or not found["job"]["shares_cores"]
    assert found["gate"] == {"min_ratio": gate, "passes": code == 0}


@pytest.mark.timeout(900)
def test_everything_is_measured(examined: Examination) -> None:
    """The rungs, a knob that was tried, the cold set, and the scale."""
    heads = [line.partition(" ")[0] for line in page(examined).splitlines()]
    for head in ("job", "device", "cores", "read", "ratio", "stalls", "cold", "finding", "knob", "scale"):
        assert head in heads, head
    assert [one.processes for one in examined.scaled] == [1]
    cold = examined.reading.measured.cold
    assert cold is not None
    assert cold.files == 5
    assert cold.left is None or 0 <= cold.left <= 1
    if examined.knob is not None and not examined.knob.writes:
        assert examined.tried is not None
        assert examined.tried.after > 0


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_scale_is_fitted(tiny_set: Path) -> None:
    """Each number of processes has its rate, and two of them a fit."""
    found = examine(Asked(tiny_set, "demo", SMALL), scale=SCALE, budget=QUICK)
    assert [one.processes for one in found.scaled] == list(SCALE)
    assert all(one.rate > 0 for one in found.scaled)
    assert (found.fit is None) == (len(SCALE) < 2)


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_ranks_measure_together(tiny_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On two processes there is one more rung, the step without its exchange."""
    ended = doctor(monkeypatch, tiny_set, *JOB, "--json", "--nproc=2")
    assert ended.code == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["job"]["processes"] == 2
    assert {"compute", "step", "whole"} <= found["rungs"].keys()


def test_what_cannot_be_measured_is_refused(tiny_set: Path, tmp_path: Path) -> None:
    """At once, in one line: no set, no such recipe, more processes than cores, numbers that are none."""
    cores = len(os.sched_getaffinity(0))
    refused(here("doctor", tmp_path / "none"), 2, "none")
    refused(here("doctor", tiny_set, "--recipe=nope"), 2, "nope")
    refused(here("doctor", tiny_set, *JOB, f"--scale=1,{cores + 1}"), 2, "--scale", str(cores))
    assert here("doctor", tiny_set, "--scale=1,two").code == 2


@pytest.mark.timeout(900)
def test_error_of_a_measuring_process_is_the_commands(tiny_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with the same exit code, and prints nothing."""
    ended = doctor(monkeypatch, tiny_set, "--recipe=demo", "--set=train.global_batch=4096", "--set=train.group=16")
    assert (ended.code, ended.stdout) == (2, "")


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_slow_storage_is_named(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every read takes a tenth of a second, the whole is measured from memory too, and the storage binds."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler for the library that makes reads slow")
    monkeypatch.setenv("LD_PRELOAD", str(compile_library(tmp_path)))
    monkeypatch.setenv("SLOW_READS_SECONDS", "0.1")
    small = ("--set=train.global_batch=4", "--set=train.group=4", "--json")
    ended = doctor(monkeypatch, tiny_set, *JOB, *small)
    assert ended.code == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["binding"]["resource"] == "storage"
    assert found["rungs"]["memory"]["images_per_second"] > found["real"]
    assert found["fetch_stall"] > 0.2
    assert "storage-bound" in found["finding"]


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_decoded_cache_is_measured_where_it_is(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images come from it, with nothing to read or decode; one that is not there is not made, and a line says so."""
    settings = ("runtime.cache=decoded", f"runtime.cache_dir={tmp_path}")
    without = measure_apart(Asked(tiny_set, "demo", (*SMALL, *settings)), Part(Kind.WHOLE, QUICK))
    assert any("doctor writes nothing" in remark for remark in without.job.remarks)
    assert list(tmp_path.iterdir()) == []
    open_cache_alone(ShardSet.open(tiny_set), "train", tmp_path, 1, print)
    found = json.loads(
        doctor(monkeypatch, tiny_set, *JOB, *(f"--set={setting}" for setting in settings), "--json").stdout
    )
    assert found["job"]["cached"]
    assert found["rungs"].keys() == {"input", "step", "whole"} | ({"threads"} & found["rungs"].keys())
