"""How benchmarks are timed and written down."""

import json
import sys
from functools import partial
from pathlib import Path

import pytest

from benchmarks.harness import turns
from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.processes import Run, call_apart, child, interleave, time_command
from benchmarks.harness.stopwatch import time_steps
from benchmarks.harness.tables import markdown, rate_rows, spread, turned
from tests.checkout import ROOT

FILE = str(ROOT / "benchmarks/step/peers.py")
DOC = "What is measured.\n\n    python -m benchmarks.step.peers\n\nHow it is\nmeasured.\n"


def runs(*rates: float) -> list[Run]:
    """Runs of these rates."""
    return [{"images_per_second": rate, "cpu_microseconds": 1e6 / rate} for rate in rates]


def add(one: int, other: int) -> dict[str, int]:
    """What a contender may be: a function with plain arguments."""
    return {"sum": one + other}


def take_turns(images: int) -> None:
    """A contender that stays alive."""
    turns.contend(lambda: images, 0.0, 3)


def test_ratio_is_taken_pair_by_pair() -> None:
    """A row has the median and spread of ratios within a repetition, not the ratio of medians."""
    first, second = rate_rows({"a": runs(100, 200, 300), "b": runs(150, 200, 1200)}, "a")
    assert first["ratio to a, median"] == 1
    assert (second["images/s, median"], second["min to max"], second["n"]) == (200, "150 to 1200", 3)
    assert (second["ratio to a, median"], second["ratio, min to max"]) == (1.5, "1.000 to 4.000")


def test_tables_are_filled() -> None:
    """A row that lacks a column has nothing there; a turned table has the columns as rows."""
    assert markdown([{"a": 1}, {"b": 2}]) == "| a | b |\n|---|---|\n| 1 |  |\n|  | 2 |"
    assert turned({"x": {"a": 1, "b": 2}, "y": {"b": 3}}, "what") == [
        {"what": "a", "x": 1, "y": ""},
        {"what": "b", "x": 2, "y": 3},
    ]
    assert spread("s", [3, 1, 2], 1) == {"s, median": 2, "min to max": "1.0 to 3.0"}


def test_steps_are_counted() -> None:
    """At least so many steps are taken, however short the time; a rate counts their images."""
    steps = iter([5] * 4)
    run = time_steps(steps.__next__, 0, 4, cpu_seconds=iter([1.0, 3.0]).__next__)
    assert next(steps, None) is None
    assert run["images_per_second"] > 0
    assert run["cpu_microseconds"] == pytest.approx(2e6 / 20)


def test_contenders_are_interleaved() -> None:
    """In each repetition every contender runs once, in one order."""
    order: list[str] = []

    def contender(name: str) -> Run:
        order.append(name)
        return {"seconds": len(order)}

    found = interleave({name: partial(contender, name) for name in "ab"}, 2)
    assert order == ["a", "b", "a", "b"]
    assert found == {"a": [{"seconds": 1}, {"seconds": 3}], "b": [{"seconds": 2}, {"seconds": 4}]}


def test_function_runs_in_its_own_process() -> None:
    """Its arguments and its answer are carried over; a command that fails is an error that names its status."""
    assert call_apart(__file__, "add", 2, 3) == {"sum": 5}
    taken = time_command([sys.executable, "-c", "sum(range(2_000_000)); raise SystemExit(3)"], status=3)
    assert taken["cpu_seconds"] > 0
    assert 0 < taken["seconds"] < 60
    with pytest.raises(RuntimeError, match="ended with 1"):
        time_command([sys.executable, "-c", "raise SystemExit(1)"])


def test_contenders_take_turns() -> None:
    """Those that stay alive answer in every turn; one that fails is left out with its last words."""
    failed: dict[str, str] = {}
    commands = {"good": child(__file__, "take_turns", 7), "bad": child(__file__, "no_such_function")}
    found, starts = turns.contest(commands, 2, 0, failed)
    assert found.keys() == starts.keys() == {"good"}
    assert all(run["images_per_second"] > 0 for run in found["good"])
    assert len(found["good"]) == 2
    assert "no_such_function" in failed["bad"]


def test_result_quotes_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result has the command with every value, names for somebody's files, n, versions, and its tables."""
    benchmark = Benchmark(FILE, DOC, "trial", "A trial")
    benchmark.add("shards", type=Path)
    benchmark.add("work", type=Path)
    benchmark.add("--seed", type=int, default=0)
    benchmark.add("--only", nargs="+", default=[])
    benchmark.add("--bf16", action="store_true")
    benchmark.share(repeats=3, sizes=[64, 224], seconds=1.5)
    monkeypatch.setattr(sys, "argv", ["x", "some/set", "runs", "--out", str(tmp_path), "--bf16", "--repeats", "2"])
    asked = benchmark.parse(batch=8)
    assert (asked.repeats, asked.sizes) == (2, [64, 224])
    benchmark.write({"all": rate_rows({"a": runs(10, 20)}, "a")}, more=[1])
    (page,) = tmp_path.glob("trial-*.md")
    result = json.loads(page.with_suffix(".json").read_text("utf-8"))
    command = "python -m benchmarks.step.peers SHARDS WORK --seed 0 --bf16 --repeats 2 --sizes 64 224 --seconds 1.5"
    assert result["command"] == command
    assert {"date", "commit", "processor", "cores", "load before", "versions"} < result.keys()
    assert (result["batch"], result["more"], result["tables"]["all"][0]["n"]) == (8, [1], 2)
    assert page.read_text("utf-8").startswith(f"# A trial\n\n- command: {command}\n")
    assert "\n\nHow it is\nmeasured.\n\n## all\n" in page.read_text("utf-8")
    assert str(tmp_path) not in page.read_text("utf-8")
