"""What a browser makes of the pages."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import html5lib
import pytest

NAMES = ("small", "hostile", "large", "comparison")
AXE = Path(sys.prefix) / "node_modules/axe-core/axe.min.js"
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1200, "height": 900}


@contextmanager
def opened(browser: Any, path: Path, **options: Any) -> Iterator[tuple[Any, list[str]]]:
    """The page in a browser, and what it complained of or asked the network for."""
    context = browser.new_context(**options)
    page, seen = context.new_page(), list[str]()
    page.on("console", lambda message: seen.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: seen.append(f"error: {error}"))
    page.on("dialog", lambda dialog: seen.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: seen.append(f"request: {request.url[:60]}"))
    page.goto(path.as_uri())
    yield page, [one for one in seen if one != f"request: {path.as_uri()}"[:69] and "data:" not in one]
    context.close()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("script", [True, False])
def test_no_complaint_and_no_request(browser: Any, pages: dict[str, Path], name: str, script: bool) -> None:
    """With or without script the page opens alone, and is the same."""
    with opened(browser, pages[name], java_script_enabled=script) as (page, seen):
        assert seen == []
        assert page.locator("svg[role=img] path").count() > 10
        assert page.locator("h1").is_visible()


@pytest.mark.parametrize("name", NAMES)
def test_pictures_and_curves_are_drawn(browser: Any, pages: dict[str, Path], name: str) -> None:
    """Each image is decoded, each curve has a length and a colour."""
    with opened(browser, pages[name]) as (page, _):
        widths = page.evaluate("() => [...document.images].map(one => one.naturalWidth)")
        assert all(widths)
        assert bool(widths) == (name != "comparison")
        lengths = page.evaluate(
            "() => [...document.querySelectorAll('svg[role=img] path[fill=none]')].map(one => one.getTotalLength())"
        )
        assert lengths
        assert min(lengths) > 1
        colour = page.evaluate("() => getComputedStyle(document.querySelector('path.s0')).stroke")
        assert colour == "rgb(11, 95, 176)"


def test_names_of_classes_do_nothing(browser: Any, pages: dict[str, Path]) -> None:
    """A class called <script> is its name: no element, no dialog, the text as it was given."""
    with opened(browser, pages["hostile"]) as (page, seen):
        assert page.locator("script").count() == 0
        assert page.locator("b").count() == 0
        assert page.get_by_text("<script>alert(1)</script>").count() > 0
        assert seen == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_page_is_readable(
    browser: Any, pages: dict[str, Path], tmp_path: Path, name: str, scheme: str, size: dict[str, int]
) -> None:
    """axe-core finds nothing against WCAG 2 AA, contrast included; nothing is wider than the window."""
    with opened(browser, pages[name], color_scheme=scheme, viewport=size) as (page, _):
        page.evaluate("() => document.querySelectorAll('details').forEach(one => { one.open = true })")
        wide = page.evaluate("() => document.documentElement.scrollWidth")
        assert wide <= size["width"]
        options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"], "resultTypes": ["violations"]}
        page.evaluate(AXE.read_text("utf-8"))
        found = page.evaluate("options => axe.run(options)", options)["violations"]
        problems = [(one["id"], one["nodes"][0]["html"][:150], one["nodes"][0].get("failureSummary")) for one in found]
        assert problems == []
        page.screenshot(path=tmp_path / f"{name}-{scheme}-{size['width']}.png", full_page=True)


@pytest.mark.parametrize("name", NAMES)
def test_html_is_valid(pages: dict[str, Path], name: str) -> None:
    """A strict parser has no complaint."""
    html5lib.HTMLParser(strict=True).parse(pages[name].read_bytes(), transport_encoding="utf-8")


def test_policy_allows_no_script(browser: Any, pages: dict[str, Path]) -> None:
    """Even an element that would come in by some way does not run: the page's own policy forbids it."""
    bad = pages["small"].with_name("bad.html")
    bad.write_text(pages["small"].read_text().replace("</main>", "<script>document.title = 'run'</script></main>"))
    with opened(browser, bad) as (page, _):
        assert page.title() == "small · Headrace"


def test_page_without_styles_is_readable(browser: Any, pages: dict[str, Path]) -> None:
    """As on a server that drops styles: curves keep their colours, text its size."""
    import re

    bare = pages["small"].with_name("bare.html")
    bare.write_text(re.sub("<style>.*?</style>", "", pages["small"].read_text(), flags=re.DOTALL))
    with opened(browser, bare) as (page, seen):
        assert seen == []
        assert page.evaluate("() => getComputedStyle(document.querySelector('path.s1')).stroke") == "rgb(179, 71, 0)"
        boxes = page.evaluate("() => [...document.querySelectorAll('svg[role=img]')].map(one => one.clientWidth)")
        assert set(boxes) == {400}


def test_page_is_printed(browser: Any, pages: dict[str, Path], tmp_path: Path) -> None:
    """As a PDF of a few pages, in dark surroundings, too."""
    with opened(browser, pages["small"], color_scheme="dark") as (page, _):
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        data = page.pdf(path=tmp_path / "page.pdf", format="A4")
        assert 1 <= data.count(b"/Type /Page\n") <= 12
