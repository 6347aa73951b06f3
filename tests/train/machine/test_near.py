import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.train.machine import near
from headrace.train.machine.device import Accelerator


@given(st.sets(st.integers(0, 300)))
def test_cores_are_those_of_the_kernels_list(cores: set[int]) -> None:
    """A list may have ranges and single cores in any order."""
    parts: list[str] = []
    for core in sorted(cores):
        first, _, last = parts[-1].partition("-") if parts else ("", "", "")
        if parts and int(last or first) == core - 1:
            parts[-1] = f"{first}-{core}"
        else:
            parts.append(str(core))
    assert near.cores_of(",".join(parts) + "\n") == cores


def test_cores_near_a_device(tmp_path: Path) -> None:
    """Cores are found by the device's PCI address; unknown devices have none."""
    device = tmp_path / "bus" / "pci" / "devices" / "0000:3b:00.0"
    device.mkdir(parents=True)
    (device / "local_cpulist").write_text("0-1,4\n")
    assert near.cores_near("0000:3b:00.0", tmp_path) == {0, 1, 4}
    assert near.cores_near("0000:3c:00.0", tmp_path) == set()


def test_process_stays_on_cores_near_its_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process stays on those near cores that it may use, if there are any. No core is near a CPU."""
    before = os.sched_getaffinity(0)
    first = min(before)
    accelerator = Accelerator(None)
    near.keep_near(accelerator)
    assert os.sched_getaffinity(0) == before
    monkeypatch.setattr(Accelerator, "pci_address", lambda _: "0000:3b:00.0")
    try:
        monkeypatch.setattr(near, "cores_near", lambda _: {10_000})
        near.keep_near(accelerator)
        assert os.sched_getaffinity(0) == before
        monkeypatch.setattr(near, "cores_near", lambda _: {first, 10_000})
        near.keep_near(accelerator)
        assert os.sched_getaffinity(0) == {first}
    finally:
        os.sched_setaffinity(0, before)
