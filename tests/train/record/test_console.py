import io
import json
import logging

import pytest

from headrace.train.record.ahead import Ahead
from headrace.train.record.console import Console, JsonLines, Quiet, Terminal, cleared, console_of

AHEAD = Ahead(epoch=2, epochs=10, steps=500, done=100, later=4000, images=256)


class Screen(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def seen(text: str) -> list[str]:
    """Return the lines that are visible on a terminal after this text, without overwritten ones."""
    lines = []
    for line in text.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return [line for line in lines if line]


def tell_run(console: Console) -> None:
    """Tell a console about a step, a line, and the end of an epoch."""
    console.begin_epoch(AHEAD)
    console.say_part("part of an epoch")
    console.advance()
    console.show_loss(1.5)
    console.say("warning: between steps")
    console.show_row({"kind": "step", "step": 101})
    console.evaluate()
    console.clear()
    console.say_figures("epoch line")
    console.say("last line")


def test_lines_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal, there are only lines, on standard output."""
    tell_run(Console())
    assert capsys.readouterr() == ("part of an epoch\nwarning: between steps\nepoch line\nlast line\n", "")


def test_quiet_has_warnings_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """With --quiet, warnings are on standard error, and nothing is on standard output."""
    tell_run(Quiet())
    assert capsys.readouterr() == ("", "headrace: warning: between steps\n")


def test_json_has_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Rows are as in metrics.jsonl, other lines are rows of their own, and no content is repeated."""
    tell_run(JsonLines())
    out, errors = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert rows == [{"kind": "step", "step": 101}, {"kind": "line", "text": "last line"}]
    assert errors == ""


def test_bar_is_gone_when_the_epoch_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines are above the bar, which shows all figures and disappears at the end."""
    screen = Screen()
    tell_run(Terminal(screen))
    assert capsys.readouterr().out == "warning: between steps\nepoch line\nlast line\n"
    text = screen.getvalue()
    for words in ("[2/10]", "100/500 steps", "loss 1.5000", "images/s", "left, run", "evaluating"):
        assert words in text, words
    assert seen(text) == []


def test_bar_counts_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar estimates the rest of the epoch, and of the run with its evaluations, from the rate so far."""
    now = [1000.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    screen = Screen()
    console = Terminal(screen)
    console.begin_epoch(AHEAD._replace(epoch=1, steps=100, done=0, later=900))
    for _ in range(100):
        now[0] += 0.5
        console.advance()
    console.evaluate()
    now[0] += 20.0
    console.clear()
    console.begin_epoch(AHEAD._replace(epoch=2, steps=100, done=0, later=800))
    for _ in range(50):
        now[0] += 0.5
        console.advance()
    last = screen.getvalue().split("\r")[-1]
    assert "50/100 steps, 512 images/s" in last
    assert "00:25 left" in last
    assert "run 10:05" in last  # 850 steps of half a second and 9 evaluations of 20 s
    console.clear()


def test_error_comes_after_the_bar() -> None:
    """The line of an error begins in place of the bar."""
    screen = Screen()
    console = Terminal(screen)

    def fail() -> None:
        console.begin_epoch(AHEAD)
        raise ValueError("in a step")

    with pytest.raises(ValueError, match="in a step"), cleared(console):
        fail()
    assert seen(screen.getvalue()) == []


def test_bar_is_for_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that cannot move back shows lines, and so do other modes."""
    monkeypatch.setattr("sys.stderr", Screen())
    monkeypatch.setenv("TERM", "xterm")
    assert type(console_of("lines")) is Terminal
    assert [type(console_of(show)) for show in ("quiet", "json")] == [Quiet, JsonLines]
    monkeypatch.setenv("TERM", "dumb")
    assert type(console_of("lines")) is Console
    monkeypatch.setattr("sys.stderr", io.StringIO())
    monkeypatch.setenv("TERM", "xterm")
    assert type(console_of("lines")) is Console


@pytest.mark.parametrize("console", [Console(), Quiet(), JsonLines(), Terminal(io.StringIO())])
def test_all_lines_go_to_the_logger(console: Console, caplog: pytest.LogCaptureFixture) -> None:
    """In any mode, the logger "headrace" gets all lines, and warnings as warnings."""
    caplog.set_level(logging.INFO, "headrace")
    tell_run(console)
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [
        ("INFO", "part of an epoch"),
        ("WARNING", "between steps"),
        ("INFO", "epoch line"),
        ("INFO", "last line"),
    ]
