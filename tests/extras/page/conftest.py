"""A real browser, and pages that it opens from files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.train.record.page.facts import FactsReader
from headrace.train.record.page.render import NAME, render_comparison, render_run
from tests.train.record.page.runs import HOSTILE, drawn_run

OFFLINE = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium, without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[*OFFLINE, "--disable-sync"])
        yield found
        found.close()


def written(folder: Path) -> Path:
    """The page of a run, in its folder."""
    (folder / NAME).write_bytes(render_run(FactsReader(folder).read(), folder / NAME))
    return folder / NAME


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages by name: a small run, one with hostile names, the largest that is planned for, and a comparison."""
    folder = tmp_path_factory.mktemp("pages")
    names = [f"class {number} of a thousand" for number in range(1000)]
    runs = {
        "small": drawn_run(folder / "small"),
        "hostile": drawn_run(folder / "hostile", names=HOSTILE),
        "large": drawn_run(folder / "large", epochs=300, names=names, samples=50_000),
    }
    made = {name: written(run) for name, run in runs.items()}
    made["comparison"] = folder / "comparison.html"
    facts = [FactsReader(run).read() for run in runs.values()]
    made["comparison"].write_bytes(render_comparison(facts, made["comparison"]))
    return made
