"""The site of the documents: every link of it leads somewhere, and it asks nobody for anything."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.project.site_source import DOCS, navigation, write

FETCHED = {
    "script": "src",
    "img": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "audio": "src",
    "video": "src",
}
"""Attributes of elements that a browser fetches by itself."""


class Page(NamedTuple):
    """What a page of the site has."""

    fetched: list[str]
    links: list[str]
    anchors: set[str]
    title: str


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page([], [], set(), "")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.page.anchors.add(given["id"])
        if tag in FETCHED and given.get(FETCHED[tag]) and given.get("rel") not in ("canonical", "next", "prev"):
            self.page.fetched.append(given[FETCHED[tag]])
        if tag == "a" and "href" in given:
            self.page.links.append(given["href"])


def read(path: Path) -> Page:
    """A page, parsed."""
    reader = _Reader()
    reader.feed(path.read_text("utf-8"))
    return reader.page


def build(out: Path) -> "subprocess.CompletedProcess[str]":
    """`zensical build --strict`, as `make docs` runs it."""
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--strict", "-f", "zensical.toml"]
    return subprocess.run(command, cwd=out, capture_output=True, text=True, timeout=280, check=False)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    out = tmp_path_factory.mktemp("docs")
    write(out)
    ended = build(out)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return out / "site"


def test_every_page_is_there_and_in_the_navigation(site: Path) -> None:
    """Each page of docs is built; docs/index.md, from which the navigation is made, names each."""
    pages = {path.name for path in DOCS.glob("*.md")} - {"index.md"}
    named = {page for section in navigation() for rows in section.values() for row in rows for page in row.values()}
    assert named - {"decisions/README.md"} == pages
    assert all((site / page).with_suffix(".html").is_file() for page in pages)


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    """No page or style sheet names a font, script, style or picture of another server."""
    asked = [(path.name, one) for path in site.rglob("*.html") for one in read(path).fetched if "//" in one]
    assert asked == []
    for style in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//[^)]*", style.read_text("utf-8")) == []


def test_links_lead_somewhere(site: Path) -> None:
    """Each link inside the site is a file of it, and each anchor an element there."""
    pages = {path.resolve(): read(path) for path in site.rglob("*.html") if path.name != "404.html"}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            target, _, anchor = link.partition("#")
            if ":" in target:
                continue
            found = (path.parent / target).resolve() if target else path
            if not found.exists() or (anchor and found in pages and anchor not in pages[found].anchors):
                broken.append(f"{path.name}: {link}")
    assert broken == []
    assert sum(len(page.links) for page in pages.values()) > 1000


def test_broken_link_stops_the_build(tmp_path: Path) -> None:
    """Strict means that a page which is not there ends the build."""
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/index.md").write_text("# A\n\n[gone](gone.md)\n")
    (tmp_path / "zensical.toml").write_text('[project]\nsite_name = "A"\ndocs_dir = "pages"\n')
    assert build(tmp_path).returncode != 0
