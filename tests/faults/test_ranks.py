import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.ddp.processes import free_port
from tests.faults.runs import STEPS, arguments, assert_same_run, losses, running, wait_for
from tests.faults.sockets import children

TORCHRUN = ("-m", "torch.distributed.run")
SECONDS = 25


@pytest.mark.parametrize(
    ("fault", "code", "first"),
    [
        ({"what": "refuse"}, 3, "headrace: error: train-000003.tar: a fault of the test"),
        pytest.param({"what": "raise"}, 1, "Traceback", marks=pytest.mark.faults),
        pytest.param({"what": "kill"}, 1, "headrace: error: rank 1 was killed by SIGKILL", marks=pytest.mark.faults),
    ],
    ids=lambda value: value["what"] if isinstance(value, dict) else "",
)
def test_failing_rank_ends_the_others(
    tiny_set: Path, tmp_path: Path, fault: dict[str, object], code: int, first: str
) -> None:
    """Under --nproc, a rank that raises or is killed ends the command within seconds: its error, its exit code."""
    out = tmp_path / "run"
    with running(arguments(tiny_set, out, "--nproc", "2"), fault={**fault, "step": 4, "rank": 1}) as process:
        wait_for(out, 4, process)
        began = time.monotonic()
        _, errors = process.communicate(timeout=120)
        assert time.monotonic() - began < SECONDS
    assert (process.returncode, errors.splitlines()[0][: len(first)]) == (code, first), errors
    assert "gloo" not in errors


@pytest.mark.faults
def test_failing_rank_under_torchrun(tiny_set: Path, tmp_path: Path) -> None:
    """Under torchrun too the first line is the error of the rank that failed, and the others end within seconds."""
    out = tmp_path / "run"
    launcher = (*TORCHRUN, "--standalone", "--nproc-per-node", "2")
    fault = {"what": "refuse", "step": 4, "rank": 1}
    with running(arguments(tiny_set, out), *launcher, fault=fault) as process:
        wait_for(out, 4, process)
        began = time.monotonic()
        _, errors = process.communicate(timeout=120)
        assert time.monotonic() - began < SECONDS
    own = [line for line in errors.splitlines() if "headrace: error" in line]
    assert process.returncode == 1
    assert own == ["headrace: error: train-000003.tar: a fault of the test"], errors


@pytest.mark.faults
def test_launcher_killed_while_ranks_load(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks whose launcher gets SIGKILL before they have loaded torch end without a step; no temporary file is left."""
    out, temporary = tmp_path / "run", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with running(arguments(tiny_set, out, "--nproc", "2")) as process:
        while len(children(process.pid)) < 2:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        assert process.communicate(timeout=SECONDS) == ("", "")  # to the end of its output: no rank still holds it
    assert not out.exists()
    assert list(temporary.iterdir()) == []


@pytest.mark.faults
def test_hanging_rank_is_noticed(tiny_set: Path, tmp_path: Path) -> None:
    """A rank that does nothing for runtime.timeout_minutes ends the run with a line that names it."""
    out = tmp_path / "run"
    fault = {"what": "hang", "step": 4, "rank": 1, "seconds": 3600}
    given = arguments(tiny_set, out, "--nproc", "3", runtime__timeout_minutes=0.1)
    with running(given, fault=fault) as process:
        wait_for(out, 3, process)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    hung = r"rank [02]: rank 1 ended, or kept rank [02] waiting for 0\.1 minutes \(runtime\.timeout_minutes\)"
    assert re.search(hung, errors), errors
    assert "Traceback" not in errors


@pytest.mark.faults
def test_killed_rank_is_restarted(tiny_set: Path, pair: Path, tmp_path: Path) -> None:
    """Under torchrun --max-restarts a killed rank brings a restart from the last checkpoint, and the same bits."""
    out = tmp_path / "run"
    launcher = (*TORCHRUN, "--standalone", "--nproc-per-node", "2", "--max-restarts", "1")
    fault = {"what": "kill", "step": 5, "rank": 1}
    with running(arguments(tiny_set, out, "--resume", "auto"), *launcher, fault=fault) as process:
        output, errors = process.communicate(timeout=250)
    assert process.returncode == 0, output + errors
    assert "resume   from" in output
    assert_same_run(pair, out)


@pytest.mark.faults
def test_killed_node_comes_back(tiny_set: Path, pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two agents on the loopback address, one rank each: one is killed and started again, and the run ends the same."""
    # torch 2.13 tells a node that comes back nothing of the store that the agents share, so they must not share it
    monkeypatch.setenv("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    out, port = tmp_path / "run", free_port()
    launcher: tuple[str, ...] = (*TORCHRUN, "--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", "--rdzv-id=test")
    launcher += ("--max-restarts=3", "--local-addr=127.0.0.1", f"--rdzv-endpoint=127.0.0.1:{port}", "--rdzv-conf")
    given, slow = arguments(tiny_set, out, "--resume", "auto"), {"what": "slow", "seconds": 0.5}
    keep_alive = "keep_alive_interval=1,keep_alive_max_attempt=2"  # seen dead after 2 seconds instead of 15
    host, guest = (*launcher, f"is_host=1,{keep_alive}"), (*launcher, f"is_host=0,{keep_alive}")
    with running(given, *host, fault=slow) as first:
        with running(given, *guest, fault=slow) as second:
            wait_for(out, 3, second)
            for one in (second.pid, *children(second.pid)):
                os.kill(one, signal.SIGKILL)
            second.communicate()
        assert len(losses(out)) < STEPS
        time.sleep(8)  # no machine comes back faster; the other agent has seen by then that this one is gone
        with running(given, *guest) as again:
            output, errors = first.communicate(timeout=250)
            assert first.returncode == 0, output + errors
            assert again.wait(60) == 0
    assert_same_run(pair, out)


@pytest.mark.faults
def test_nodes_that_see_different_checkpoints_are_refused(tiny_set: Path, undisturbed: Path, tmp_path: Path) -> None:
    """Ranks whose run folders are not the same one do not train on: each would begin at another step."""
    port = free_port()
    launcher: tuple[str, ...] = (
        *TORCHRUN,
        "--nnodes=2",
        "--nproc-per-node=1",
        "--master-addr=127.0.0.1",
        f"--master-port={port}",
    )
    folders = tmp_path / "empty", undisturbed
    with (
        running(arguments(tiny_set, folders[0], "--resume=auto"), *launcher, "--node-rank=0") as first,
        running(arguments(tiny_set, folders[1], "--resume=auto"), *launcher, "--node-rank=1") as second,
    ):
        _, errors = second.communicate(timeout=120)
        first.communicate(timeout=120)
    assert (first.returncode, second.returncode) == (1, 1)  # torchrun's own
    assert "checkpoint is step 10, sha256 " in errors
    assert "rank 0 has None" in errors
