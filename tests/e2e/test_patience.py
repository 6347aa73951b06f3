"""The line that says why nothing happens."""

import io
import sys
import time

import pytest

from headrace.commands.patience import told_if_slow


class Terminal(io.StringIO):
    """A stream that says that a person is watching."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.mark.parametrize(
    ("stream", "takes", "told"),
    [(Terminal(), 0.5, "loading\n"), (Terminal(), 0.0, ""), (io.StringIO(), 0.5, "")],
    ids=["slow", "quick", "nobody watches"],
)
def test_line_is_told_if_it_takes_long(
    stream: io.StringIO, takes: float, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, on a terminal, and only if the work is slow."""
    monkeypatch.setattr(sys, "stderr", stream)
    with told_if_slow("loading", seconds=0.1 if takes else 30):
        time.sleep(takes)
    assert stream.getvalue() == told
