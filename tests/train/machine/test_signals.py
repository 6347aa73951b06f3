import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.train.machine.signals import StoppedError, StopRequest, exit_code
from tests.checkout import ROOT

CODES = [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
BUSY = "while True: time.sleep(60)"
# It waits in C for itself, as in a collective that never ends.
HANGING = "lock = ctypes.create_string_buffer(64); [ctypes.CDLL(None).pthread_mutex_lock(lock) for _ in range(2)]"


@pytest.fixture
def quiet() -> Iterator[list[int]]:
    """Install handlers of the test, which record the signals that reach them."""
    seen: list[int] = []
    before = {number: signal.signal(number, lambda n, _: seen.append(n)) for number, _ in CODES}
    yield seen
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [number for number, _ in CODES])
def test_first_signal_is_noted_and_nothing_more(quiet: list[int], number: signal.Signals) -> None:
    """The program continues and knows the signal; afterwards the handlers are as before."""
    with StopRequest() as stop:
        stop.something_to_save = True
        assert stop.number == 0
        os.kill(os.getpid(), number)
        assert stop.number == number
    assert quiet == []
    os.kill(os.getpid(), number)
    assert quiet == [number]


def test_hangup_that_is_ignored_stays_ignored(quiet: list[int]) -> None:
    """Under nohup a closed terminal stops nothing, also the second time."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopRequest() as stop:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.2)
        assert stop.number == 0
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    assert quiet == []


def test_one_key_press_that_comes_twice_is_one(quiet: list[int]) -> None:
    """A shell and a launcher may both forward a signal: within a second the second one has no effect."""
    with StopRequest() as stop:
        stop.something_to_save = True
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)
        assert stop.number == signal.SIGINT
    assert quiet == []


def stubborn(wait: str, *, before: str = "pass") -> "subprocess.Popen[str]":
    """Start a process that notes signals and never acts on them."""
    program = textwrap.dedent(f"""
        import ctypes, time
        from headrace.train.machine import signals
        signals._SILENT_SECONDS = 1.0
        with signals.StopRequest() as stop:
            stop.something_to_save = True
            {before}
            print("ready", flush=True)
            {wait}
    """)
    started = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_second_request_ends_the_process_at_once(number: signal.Signals, code: int) -> None:
    """After a second, another signal ends the process, even if it hangs where Python runs no handler."""
    for wait in (BUSY, HANGING):
        process = stubborn(wait)
        try:
            process.send_signal(number)
            time.sleep(1.2)
            assert process.poll() is None
            process.send_signal(number)
            assert process.wait(timeout=20) == code
        finally:
            process.kill()
            process.communicate()


BEATS = "stop.among_others = True; [stop.beat() for _ in range(3)]"


def test_rank_that_waits_for_another_ends_after_a_signal() -> None:
    """The rank ends by itself; without heartbeats the launcher would kill it half a minute later."""
    process = stubborn(HANGING, before=BEATS)
    try:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 143
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("before", "wait"),
    [
        (BEATS, "while True: stop.beat(); time.sleep(0.1)"),
        (BEATS, "exec('with stop.writing():\\n time.sleep(60)')"),
        (BEATS.replace("True", "False"), HANGING),
        (f"{BEATS}; time.sleep(2); stop.beat()", HANGING),
        ("stop.among_others = True", HANGING),
    ],
    ids=["gets on", "writes", "alone", "is slow", "has not begun"],
)
def test_silence_ends_no_other_process(before: str, wait: str) -> None:
    """A process that makes progress, writes a file, is alone, or makes a long or no step is not ended."""
    process = stubborn(wait, before=before)
    try:
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=3)
    finally:
        process.kill()
        process.communicate()


def test_exit_codes_are_those_of_shells() -> None:
    """Codes are 129 for SIGHUP, 130 for SIGINT and 143 for SIGTERM."""
    assert [(number, exit_code(number)) for number, _ in CODES] == CODES
    assert str(StoppedError(signal.SIGTERM)) == "stopped by SIGTERM"


def test_nothing_is_left_open(quiet: list[int]) -> None:
    """Contexts one after another leave no descriptor and no thread behind."""
    assert quiet == []

    def held() -> tuple[int, int]:
        return tuple(len(list(Path(f"/proc/self/{kind}").iterdir())) for kind in ("fd", "task"))  # type: ignore[return-value]

    with StopRequest():
        pass
    end, before = time.monotonic() + 10, held()
    for _ in range(20):
        with StopRequest():
            pass
    while held() > before and time.monotonic() < end:
        time.sleep(0.05)
    assert held() <= before
