import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from headrace.shards.errors import UsageError
from headrace.train.record.page.facts import FactsReader
from headrace.train.record.page.pictures import MOST
from headrace.train.record.page.render import NAME, render_comparison, render_run
from tests.train.record.page.runs import HOSTILE, drawn_run

PAGE = 1 << 20


class Elements(HTMLParser):
    """Collects the elements of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Store the element."""
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Store the text."""
        self.text += data


def page_of(folder: Path) -> str:
    """Return the page of a run."""
    return render_run(FactsReader(folder).read(), folder / NAME).decode()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small run."""
    return drawn_run(tmp_path_factory.mktemp("page") / "run")


def test_page_has_what_it_is_for(run: Path) -> None:
    """Every part of the page contains something about this run."""
    text = Elements(page_of(run)).text
    for words in (
        "best validation accuracy", "30.00 %", "epoch 1", "chance is 33.33 %", "top-5 accuracy", "3 of 3", "800 MiB",
        "only few updates <b>", "Where the time went", "waiting for data", "Confusion matrix", "Least recall",
        "Most frequent confusions", "Most confident mistakes", "Training images as the network saw them",
        "Differences from the shipped recipe demo", "optim.lr", "0.25", "version of torch", "2.13", "5" * 64,
    ):  # fmt: skip
        assert words in text, words


def test_curves_and_pictures_are_inside(run: Path) -> None:
    """Five charts have a path for each curve, and all images are data."""
    page = Elements(page_of(run))
    charts = [attributes for tag, attributes in page.found if tag == "svg" and attributes.get("role") == "img"]
    assert len(charts) == 5
    assert all(" over epochs: " in str(one["aria-label"]) for one in charts)
    paths = [attributes["d"] for tag, attributes in page.found if tag == "path" and attributes.get("fill") == "none"]
    assert len([path for path in paths if path and "L" in path]) == 7
    sources = [str(attributes["src"]) for tag, attributes in page.found if tag == "img"]
    assert len(sources) == 1 + 2 * MOST
    assert all(source.startswith("data:image/") for source in sources)


def test_nothing_leads_outside(run: Path) -> None:
    """The page has no script, no external style, and no address except data and files beside the page."""
    page = Elements(page_of(run))
    assert not {"script", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in page.found}
    for tag, attributes in page.found:
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "srcset")]
        for name in ("href", "src"):
            if (target := attributes.get(name)) is not None:
                assert target.startswith("data:") or (run / target).exists(), (tag, target)
    (policy,) = (str(one["content"]) for _, one in page.found if one.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")


def test_foreign_names_are_text(tmp_path: Path) -> None:
    """Markup in names of classes, recipes, folders and errors is shown as text, and moves nothing around it."""
    folder = drawn_run(tmp_path / "<script>alert(4)<", names=HOSTILE)
    (folder / "environment.json").write_text('{"<script>alert(5)</script>": "</table>"}')
    page = page_of(folder)
    elements = Elements(page)
    assert "script" not in {tag for tag, _ in elements.found}
    assert "onerror" not in {name for _, attributes in elements.found for name in attributes}
    assert "<script>alert(1)</script>" in elements.text
    assert "{{ 7 * 7 }}{% raw %}" in elements.text
    assert "\\u202e" in elements.text
    assert not [one for one in page if not one.isprintable() and one != "\n"]


def test_large_run_is_small_and_quick(tmp_path: Path) -> None:
    """A page of 300 epochs, 1,000 classes and 50,000 images takes under 1 MB and less than a second."""
    folder = drawn_run(
        tmp_path / "run", epochs=300, names=[f"class {n} of a thousand" for n in range(1000)], samples=50_000
    )
    reader = FactsReader(folder)
    reader.read()
    began = time.thread_time()
    page = render_run(reader.read(), folder / NAME)
    assert time.thread_time() - began < 1
    assert len(page) < 1_000_000


@pytest.mark.parametrize(
    "missing",
    [
        "metrics.jsonl",
        "run.json",
        "recipe.toml",
        "environment.json",
        "validation.parquet",
        "pictures/training.json",
        "pictures/mistakes.json",
    ],
)
@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"\xff\xfe", b'[{"kind": 5}]\n{"kind": "epoch", "step": 1, "epoch": 1}\n']
)
def test_page_of_what_is_left(tmp_path: Path, missing: str, content: bytes | None) -> None:
    """If any file is missing or damaged, there is a page of the others."""
    folder = drawn_run(tmp_path / "run")
    (folder / missing).unlink()
    if content is not None:
        (folder / missing).write_bytes(content)
    assert "run" in page_of(folder)


def test_page_of_a_run_that_begins(tmp_path: Path) -> None:
    """There is a page before the first step."""
    from headrace.train.record.folder import RunLog
    from headrace.train.record.ledger import Ledger
    from tests.train.record.moments import start

    Ledger(RunLog(tmp_path)).on_start(start(tmp_path))
    RunLog(tmp_path).began(0, 1.0, 0.5)
    text = Elements(page_of(tmp_path)).text
    assert "No step has been logged yet" in text
    assert "running, or killed" in text


def test_other_folder_is_refused(tmp_path: Path) -> None:
    """The error says what a run folder contains."""
    with pytest.raises(UsageError, match=r"not a run folder: the folder has none of metrics\.jsonl"):
        FactsReader(tmp_path).read()


def test_mistakes_of_an_earlier_evaluation_are_not_shown(run: Path, tmp_path: Path) -> None:
    """Pictures are shown only if they belong to the current predictions."""
    folder = drawn_run(tmp_path / "run")
    path = folder / "pictures" / "mistakes.json"
    path.write_text(path.read_text().replace("c" * 64, "d" * 64))
    assert "Most confident mistakes" not in page_of(folder)
    assert "Most confident mistakes" in page_of(run)


def test_links_count_from_where_the_page_is(run: Path) -> None:
    """Links of a page elsewhere lead to the run's files, whatever the folder is called."""
    out = run.parent / "pages here" / "x.html"
    page = Elements(render_run(FactsReader(run).read(), out).decode())
    links = [str(attributes["href"]) for tag, attributes in page.found if tag == "a"]
    assert "../run/epochs.csv" in links


def test_comparison_has_a_curve_for_each_run(tmp_path: Path) -> None:
    """A comparison has results, curves and different recipe values of all runs."""
    folders = [drawn_run(tmp_path / f"run-{number}", epochs=4 + number, seed=number) for number in range(10)]
    (folders[0] / NAME).write_bytes(b"")
    page = Elements(render_comparison([FactsReader(one).read() for one in folders], tmp_path / "all.html").decode())
    assert "10 runs" in page.text
    assert all(f"run-{number}" in page.text for number in range(10))
    assert "train.epochs" in page.text
    assert [attributes["href"] for tag, attributes in page.found if tag == "a"] == ["run-0/report.html"]
    charts = [attributes for tag, attributes in page.found if tag == "svg" and attributes.get("role") == "img"]
    assert len(charts) == 7
    dashed = {attributes.get("stroke-dasharray") for tag, attributes in page.found if tag == "path"}
    assert dashed == {None, "5 3"}


def test_text_is_readable_without_style(run: Path) -> None:
    """Lines have their colours as attributes, because some servers remove styles."""
    page = page_of(run)
    assert re.search(r'<path class="s1" stroke="#b34700" fill="none"', page)
    assert 'fill="currentColor"' in page
