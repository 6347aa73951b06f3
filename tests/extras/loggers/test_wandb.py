import json
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.train.record.aside import Aside
from headrace.train.record.loggers import identity
from headrace.train.record.loggers.wandb import WandbLogger
from tests.checkout import ROOT
from tests.train.record.moments import end, logged, start, tell_all

BLOCK, FULL, LAST = 1 << 15, 1, 4
VARIABLES = ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_HOST", "WANDB__DISABLE_META")


@pytest.fixture(autouse=True)
def nobody_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, no mode, and a home without settings."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    import wandb

    wandb.teardown()  # it has read the environment of the test before


def records(folder: Path) -> list[Any]:
    """All records of the runs that were kept in this folder, as soon as wandb's own process has written them."""
    from wandb.proto.wandb_internal_pb2 import Record

    end = time.monotonic() + 30
    while True:
        paths = sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))
        found = [[Record.FromString(data) for data in parts(path.read_bytes())] for path in paths]
        if all(any(record.HasField("exit") for record in records) for records in found):
            return [record for records in found for record in records]
        assert time.monotonic() < end
        time.sleep(0.1)


def parts(data: bytes) -> Iterator[bytes]:
    """The records of a file in LevelDB's log format: blocks of 32 KiB with parts of CRC-32, length, kind and bytes."""
    assert data.startswith(b":W&B")
    place, whole = 7, b""
    while place + 7 <= len(data):
        if place % BLOCK > BLOCK - 7:  # no room for a head: zeros
            place += BLOCK - place % BLOCK
            continue
        length, kind = struct.unpack_from("<HB", data, place + 4)
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (FULL, LAST):
            yield whole
            whole = b""


def history(folder: Path) -> list[dict[str, Any]]:
    """The rows that were logged."""
    rows = [record.history for record in records(folder) if record.HasField("history")]
    return [{(item.key or item.nested_key[0]): json.loads(item.value_json) for item in row.item} for row in rows]


def test_without_a_key_the_run_is_kept(tmp_path: Path) -> None:
    """Nobody is asked and nothing is sent: the rows lie in the run folder, for `wandb sync`."""
    warnings: list[str] = []
    tell_all(WandbLogger(warnings.append), tmp_path)
    assert [warning.startswith("wandb: there is no API key") for warning in warnings] == [True]
    rows = history(tmp_path)
    assert [row["step"] for row in rows] == [10, 10, 20, 20]
    assert [row["step/loss"] for row in rows if "step/loss" in row] == [1.0, 1.0]
    assert [row["epoch/validation_accuracy"] for row in rows if "epoch/validation_accuracy" in row] == [32.0, 32.0]


def test_resumed_run_has_the_same_id(tmp_path: Path) -> None:
    """Both parts are one run on the server, once they are sent."""
    for step in (0, 10):
        logger = WandbLogger(print)
        logger.on_start(start(tmp_path, step))
        logger.on_step_logged(logged(step + 10))
        logger.on_end(end("stopped"))
    ids = {record.run.run_id for record in records(tmp_path) if record.HasField("run")}
    assert ids == {identity.known(tmp_path, "wandb")}
    assert [row["step"] for row in history(tmp_path)] == [10, 20]


def test_unreachable_server_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is kept as without a key, the user is told how to send it, and the end comes soon."""
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("headrace.train.record.loggers.wandb._START_SECONDS", 3)
    warnings: list[str] = []
    began = time.monotonic()
    tell_all(Aside(WandbLogger(warnings.append), "wandb", warnings.append), tmp_path)
    assert time.monotonic() - began < 60
    (warning,) = warnings
    assert "wandb sync" in warning
    assert len(history(tmp_path)) == 4


def test_mode_of_the_environment_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever disabled it finds nothing of it."""
    monkeypatch.setenv("WANDB_MODE", "disabled")
    tell_all(WandbLogger(print), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [identity.NAME]


def test_nothing_tells_of_user_or_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be sent names neither the host nor the user, and no folder of this machine."""
    monkeypatch.setenv("USER", "user-quill")
    monkeypatch.setenv("LOGNAME", "user-quill")
    tell_all(WandbLogger(print), tmp_path / "run")
    assert {record.run.host for record in records(tmp_path / "run") if record.HasField("run")} == {"hidden"}
    (sent,) = (tmp_path / "run").glob("wandb/offline-run-*/run-*.wandb")
    words = ("user-quill", str(tmp_path), str(ROOT), sys.prefix)
    assert [word for word in words if word.encode() in sent.read_bytes()] == []
