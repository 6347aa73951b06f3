import os
import signal
import subprocess
import sys
import time

import pytest

from headrace.train.doctor.cores import Probe, cause_of, probe
from headrace.train.doctor.measured import Cause

PROBING = "from headrace.train.doctor.cores import probe\nprint('ready', flush=True)\nprint(probe(1, 1.5).got)"


def test_a_thread_gets_at_most_a_core() -> None:
    """Busy cores are counted, up to the number of threads."""
    for threads in (1, 2):
        found = probe(threads, 0.2)
        assert 0 < found.got <= threads * 1.02
        assert found.throttled >= 0
        assert found.queued >= 0


def test_process_that_is_stopped_gets_less() -> None:
    """A process that is stopped for three quarters of the time, as by cpulimit, gets about a quarter of a core."""
    with subprocess.Popen([sys.executable, "-c", PROBING], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while process.poll() is None:
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(0.075)
            os.kill(process.pid, signal.SIGCONT)
            time.sleep(0.025)
        got = float(process.stdout.read())
    assert 0 < got < 0.5


@pytest.mark.parametrize(
    ("probes", "share", "cause"),
    [
        ([Probe(2, 0, 0)], 0.97, Cause.NONE),
        ([Probe(1, 0.5, 0.5), Probe(1, 0.4, 0.5)], 0.5, Cause.QUOTA),
        ([Probe(1, 0, 0.5), Probe(1, 0, 0.4)], 0.5, Cause.OTHERS),
        ([Probe(1, 0, 0), Probe(1, 0, 0.01)], 0.5, Cause.STOPPED),
    ],
)
def test_cause_is_what_the_kernel_tells(probes: list[Probe], share: float, cause: Cause) -> None:
    """A quota comes before a queue as the cause, because a group held back by a quota is queued too."""
    assert cause_of(probes, share) is cause
