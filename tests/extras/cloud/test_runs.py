"""Runs on a URL that are killed, starved of room or of a server, and what they say of it."""

import os
import re
import signal
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from headrace.train.input.loader import Loader
from tests.checkout import HEADRACE, SEARCH
from tests.e2e.commands import SMALL, headrace, refused
from tests.extras.cloud.faulty import Faulty
from tests.extras.cloud.test_reading import files_with
from tests.faults.runs import arguments, assert_same_run, complete_on_two_agents

TWO = (
    *SMALL,
    "--nproc=2",
    "--set=train.epochs=3",
    "--set=train.window=2",
    "--set=runtime.deterministic=true",
    "--set=runtime.checkpoint_steps=5",
)


def command(*words: str | Path) -> list[str]:
    """The command line."""
    return [*HEADRACE, *map(str, words)]


def kill_all(process: int) -> None:
    """SIGKILL for the launcher and its ranks, so that none saves."""
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    ranks = [int(child) for task in tasks for child in task.read_text().split()]
    for one in (process, *ranks):
        os.kill(one, signal.SIGKILL)


def test_killed_run_in_a_small_stage_ends_with_the_same_bits(many: Path, faulty: Faulty, tmp_path: Path) -> None:
    """Windows on two processes, a stage of half the set, SIGKILL twice: the weights of the local run, bit for bit."""
    local = headrace("train", many, *TWO, "--out", tmp_path / "local")
    assert local.code == 0, local.stderr
    total = sum(path.stat().st_size for path in many.glob("train-*.tar"))
    limit = {"HEADRACE_STAGE_LIMIT": f"{total / 2e6:.3f}MB"}
    words = command("train", faulty.url, *TWO, "--out", tmp_path / "run", "--resume", "auto")
    environment = os.environ | faulty.environment | limit | {"PYTHONPATH": SEARCH}
    saved = tmp_path / "run" / "checkpoints"
    for _ in range(2):
        before = set(saved.glob("*")) if saved.exists() else set()
        process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not (saved.exists() and set(saved.glob("*.pt")) - before):
            time.sleep(0.01)
        kill_all(process.pid)
        process.wait()
    ended = headrace(
        "train", faulty.url, *TWO, "--out", tmp_path / "run", "--resume", "auto", env=faulty.environment | limit
    )
    assert ended.code == 0, ended.stderr
    assert_same_run(tmp_path / "local", tmp_path / "run")
    assert "resume   from" in ended.stdout
    assert "the given limit" in ended.stdout


def test_staging_is_no_silence(many: Path, faulty: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two agents on one stage, which count as two hosts: staging for longer than the time of silence ends nothing."""
    faulty.rate = sum(path.stat().st_size for path in many.glob("*.tar")) / 12
    for name, value in faulty.environment.items():
        monkeypatch.setenv(name, value)
    given = arguments(Path("set"), tmp_path / "run", runtime__silent_seconds=5)
    given[1] = faulty.url
    told = complete_on_two_agents(given)
    seconds = re.findall(r"stage    fetched .* in ([0-9.]+) s", told)
    assert [float(one) > 5 for one in seconds] == [True], told


def test_set_that_does_not_fit_needs_windows(faulty: Faulty, tmp_path: Path) -> None:
    """Refused before anything is fetched, with both sizes and the key to give."""
    env = faulty.environment | {"HEADRACE_STAGE_LIMIT": "1MB"}
    ended = headrace("train", faulty.url, *SMALL, "--out", tmp_path / "run", env=env)
    refused(ended, 2, "train.window=8", "1.0 MB may be staged")
    assert not faulty.count.tars


def test_tar_that_vanishes_ends_all_ranks(faulty: Faulty, tmp_path: Path) -> None:
    """Within seconds, with its URL; nobody waits for the rank that met it, and with the tar back the run goes on."""
    faulty.gone = {"train-000005.tar"}
    began = time.monotonic()
    ended = headrace("train", faulty.url, *TWO, "--out", tmp_path / "run", env=faulty.environment)
    assert ended.code == 3
    assert f"{faulty.url}/train-000005.tar: no such file" in ended.stderr
    assert time.monotonic() - began < 150
    faulty.gone = set()
    again = headrace("train", faulty.url, *TWO, "--out", tmp_path / "run", "--resume", "auto", env=faulty.environment)
    assert again.code == 0, again.stderr


def test_slow_server_is_named_in_the_verdict(faulty: Faulty, tmp_path: Path) -> None:
    """Waiting for shards is stall, and the verdict says that it was for them."""
    faulty.rate = 3e5
    settings = [word for word in SMALL if "verdict" not in word]
    limit = {"HEADRACE_STAGE_LIMIT": "0.5MB"}
    ended = headrace(
        "train",
        faulty.url,
        *settings,
        "--set=train.window=2",
        "--out",
        tmp_path / "run",
        env=faulty.environment | limit,
    )
    assert ended.code == 0, ended.stderr
    assert "% for shards that were being fetched: storage or network is too slow" in ended.stdout


@pytest.mark.parametrize("window", ["", "--set=train.window=2"])
def test_first_lines_say_what_is_staged_where(window: str, faulty: Faulty, tmp_path: Path, stage: Path) -> None:
    """Without windows all of it comes first, which is said with the bytes and the time that it took."""
    words = [word for word in (*SMALL, window) if word]
    ended = headrace("train", f"{faulty.url}?sig=SIGNED", *words, "--out", tmp_path / "run", env=faulty.environment)
    assert ended.code == 0, ended.stderr
    assert all(one.path.endswith("?sig=SIGNED") for one in faulty.count.requests)
    assert "SIGNED" not in ended.stdout + ended.stderr
    assert files_with("SIGNED", tmp_path) == []
    lines = ended.stdout.splitlines()
    assert f"data     {faulty.url}:" in ended.stdout
    assert next(line for line in lines if line.startswith("stage")).startswith(
        f"stage    {stage}: has 0.0 MB of the set's 3.1 MB"
    )
    assert ("fetching 3.1 MB first, because the order has no windows" in ended.stdout) == (not window)
    assert faulty.url in (tmp_path / "run" / "environment.json").read_text()


def test_partitions_and_a_loader(many: Path, faulty: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With partitions, whose windows are read side by side, and with a Loader, the bits are those of the local set."""
    words = (*SMALL, "--set=train.partitions=2", "--set=train.window=2", "--set=runtime.deterministic=true")
    for where, out in ((many, "local"), (faulty.url, "run")):
        ended = headrace("train", where, *words, "--out", tmp_path / out, env=faulty.environment)
        assert ended.code == 0, ended.stderr
    assert_same_run(tmp_path / "local", tmp_path / "run")
    for name, value in faulty.environment.items():
        monkeypatch.setenv(name, value)
    for window in (None, 2):
        options: dict[str, Any] = {
            "batch": 24,
            "size": 32,
            "window": window,
            "device": "cpu",
            "augment": "demo",
            "seed": 3,
        }
        with closing(Loader(many, **options)) as near, closing(Loader(faulty.url, **options)) as far:
            assert all((one[0] == other[0]).all() for one, other in zip(near, far, strict=True))
    assert set(faulty.count.tars.values()) == {1}
