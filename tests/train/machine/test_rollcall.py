import time
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist

from headrace.train.machine import rollcall
from headrace.train.machine.lost_rank import LostRankError
from headrace.train.machine.rollcall import RollCall

SIZE = 4


def stores(kind: str, folder: Path) -> list[Any]:
    """Yield a store of this kind for each of the ranks."""
    if kind == "file":
        return [dist.FileStore(str(folder / "store"), SIZE) for _ in range(SIZE)]  # type: ignore[attr-defined]
    host = dist.TCPStore("127.0.0.1", 0, None, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    others = [dist.TCPStore("127.0.0.1", host.port, None) for _ in range(SIZE - 1)]  # type: ignore[attr-defined]
    return [host, *others]


def eventually(roll: RollCall) -> list[int]:
    """Return the silent ranks as soon as they are known."""
    end = time.monotonic() + 20
    while not (silent := roll.silent()) and time.monotonic() < end:
        time.sleep(0.02)
    return silent


@pytest.mark.parametrize("kind", ["file", "tcp"])
@pytest.mark.parametrize("silent", [[1], [0, 3]])
def test_each_rank_that_answers_names_those_that_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, silent: list[int]
) -> None:
    """Silent ranks are named in the launcher's store and in torchrun's, after all had time to answer."""
    monkeypatch.setattr(rollcall, "_LISTEN_SECONDS", 0.5)
    own = stores(kind, tmp_path)
    rolls = [RollCall(own[rank], rank, SIZE) for rank in range(SIZE) if rank not in silent]
    assert [roll.silent() for roll in rolls] == [[]] * len(rolls)
    assert [eventually(roll) for roll in rolls] == [silent] * len(rolls)


@pytest.mark.parametrize(("silent", "named"), [([], "another rank"), ([1], "rank 1"), ([0, 3], "ranks 0, 3")])
def test_error_names_the_silent(monkeypatch: pytest.MonkeyPatch, silent: list[int], named: str) -> None:
    """The error of a rank that cannot continue has the silent ranks' numbers, or says that they are unknown."""
    monkeypatch.setattr(RollCall, "silent", lambda _: silent)
    monkeypatch.setattr(RollCall, "_listen", lambda *_: None)
    error = LostRankError(2, 10, RuntimeError("timed out\nin C++"), RollCall(Silent(), 2, SIZE))
    assert str(error).startswith(f"rank 2: {named} ended, or kept rank 2 waiting for 10 minutes (")
    assert str(error).endswith("(timed out)")


class Silent:
    """A store whose host is lost."""

    def set(self, _key: str, _value: str, /) -> None:
        """Fail."""
        raise dist.DistNetworkError("connection reset")

    def get(self, _key: str, /) -> bytes:
        """Fail."""
        raise dist.DistNetworkError("connection reset")

    def check(self, _keys: list[str], /) -> bool:
        """Fail."""
        raise dist.DistNetworkError("connection reset")


def test_store_that_is_gone_names_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the store does not answer, no rank is named."""
    monkeypatch.setattr(rollcall, "_LISTEN_SECONDS", 0.1)
    roll = RollCall(Silent(), 0, 2)
    time.sleep(0.3)
    assert roll.silent() == []
