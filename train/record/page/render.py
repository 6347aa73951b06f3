"""Renders runs as HTML pages with Jinja2, which no other module uses.

A page is one file, with styles, curves and pictures inside it. It has no script, and its Content-Security-Policy allows
neither scripts nor requests. Text from outside, such as class names, is escaped everywhere.
"""

import base64
import hashlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from headrace.shards.printable import printable
from headrace.shards.version import running_version
from headrace.train.record import predictions
from headrace.train.record.history import number
from headrace.train.record.page import settings
from headrace.train.record.page.charts import charts_of, comparing_charts
from headrace.train.record.page.classes import classes_of
from headrace.train.record.page.facts import Facts
from headrace.train.record.page.phases import phases

NAME = "report.html"
_ROWS = 300  # the last rows of the table of epochs are shown
_FILES = (
    "best.pt",
    "last.pt",
    "recipe.toml",
    "epochs.csv",
    "metrics.jsonl",
    predictions.NAME,
    "environment.json",
    "run.json",
    "README.md",
    "tensorboard",
)


def render_run(facts: Facts, out: Path) -> bytes:
    """Render the page of one run, to be written to the file `out`; the page's links are relative to `out`."""
    history = facts.history
    return _page(
        "run.html",
        title=facts.name,
        run=facts,
        charts=charts_of(facts),
        phases=phases(history),
        differences=settings.from_shipped(facts),
        recipe=settings.flat(facts.recipe),
        environment=settings.environment_rows(facts.environment),
        classes=classes_of(facts.predictions) if facts.predictions else None,
        epochs=history.epochs[-_ROWS:],
        files=[(name, _link(facts.folder / name, out)) for name in _FILES if (facts.folder / name).exists()],
    )


def render_comparison(runs: Sequence[Facts], out: Path) -> bytes:
    """Render the page that compares several runs, to be written to the file `out`; links are relative to `out`."""
    pages = [_link(one.folder / NAME, out) if (one.folder / NAME).exists() else "" for one in runs]
    return _page(
        "compare.html",
        title=f"{len(runs)} runs",
        runs=list(zip(runs, pages, strict=True)),
        charts=comparing_charts(runs),
        differences=settings.between(runs),
        environment=settings.between_environments(runs),
    )


def _page(template: str, **values: Any) -> bytes:
    text = (
        _templates()
        .get_template(template)
        .render(
            style=Markup(_style()),  # noqa: S704  ours
            style_hash=base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode(),
            written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            version=running_version(),
            **values,
        )
    )
    return text.encode("utf-8", "backslashreplace")


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.finalize = _shown
    made.globals["number"] = number
    made.filters.update(percent=_percent, seconds=_seconds, bytes=_bytes, thousands=lambda value: f"{value:,}")
    return made


def _read(name: str) -> str:
    return resources.files("headrace.train.record.page").joinpath(name).read_text("utf-8")


@cache
def _style() -> str:
    return "\n" + _read("style.css")


def _shown(value: Any) -> Any:
    """Escape unprintable characters in text from outside, because some of them change the direction of other text."""
    return printable(value) if type(value) is str else value


def _link(path: Path, out: Path) -> str:
    return quote(os.path.relpath(path.absolute(), out.absolute().parent))


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _seconds(seconds: float) -> str:
    """Return a duration as text in at most two units."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def _bytes(count: float) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
