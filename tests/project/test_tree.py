import re
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.project.sources import kept, product

LONGEST = 300
"""Lines of a product file; one that grows longer holds a second concept."""
OF_A_MACHINE = re.compile(
    r"(?<![\w.~}-])/(?:home|root|Users|work|mnt)/\w|py[p]i\.org|python[h]osted|pytorch\.org/wh[l]"
)
"""Absolute paths of somebody's machine, and hosts of package registries."""
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def of_a_machine(path: str, text: str) -> list[str]:
    """Places in the text that hold only on one machine."""
    lines = enumerate(text.splitlines(), 1)
    return [f"{path}:{number}: {match[0]}" for number, line in lines for match in OF_A_MACHINE.finditer(line)]


def broken_links(document: Path) -> list[str]:
    """Links of a Markdown file to files that are not there."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text("utf-8"))
    return [target for target in targets if "://" not in target and not (document.parent / target).exists()]


def test_nothing_is_tied_to_a_machine() -> None:
    """No file has an absolute path of somebody's machine, or the host of a package registry."""
    texts = {path: (ROOT / path).read_bytes().decode("utf-8", "replace") for path in kept()}
    assert "pyproject.toml" in texts
    assert [place for path, text in texts.items() for place in of_a_machine(path, text)] == []


@pytest.mark.parametrize("folder", ["home", "root", "Users", "work"])
def test_path_of_a_machine_is_found(folder: str) -> None:
    """The checker sees such a path, with its line, and lets a relative one pass."""
    assert of_a_machine("a.py", f"\nopen('/{folder}/me/file')") == [f"a.py:2: /{folder}/m"]
    assert of_a_machine("a.py", f"open('data/{folder}/file')") == []


def test_product_files_are_short() -> None:
    """One concept a file: none is longer than the house allows."""
    lengths = {source.path: len(source.text.splitlines()) for source in product()}
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


def test_every_folder_of_tests_is_a_package() -> None:
    """Test modules of equal name in two folders do not hide each other."""
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    assert [folder.name for folder in folders if not (folder / "__init__.py").exists()] == []


def test_every_module_has_its_line_in_the_architecture() -> None:
    """Whoever looks for a thing finds its module in one page."""
    page = (ROOT / "docs/architecture.md").read_text("utf-8")
    listed = re.findall(r"^\| `([\w/]+\.py)` \|", page.partition("## Modules")[2], re.MULTILINE)
    modules = {source.path for source in product() if not source.path.endswith("__init__.py")}
    assert modules - set(listed) == set(), "without a line in docs/architecture.md"
    assert set(listed) - modules == set(), "listed in docs/architecture.md but not there"
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link of the documents is a file or folder of the repository."""
    assert broken_links(document) == []


def test_broken_link_is_found(tmp_path: Path) -> None:
    """The checker tells a file that is there from one that is not."""
    page = tmp_path / "page.md"
    page.write_text("[here](page.md#part) [gone](gone.md) [web](https://example.org/x)")
    assert broken_links(page) == ["gone.md"]


def test_decisions_are_listed() -> None:
    """Every decision has its row in the list."""
    folder = ROOT / "docs/decisions"
    listed = (folder / "README.md").read_text("utf-8")
    assert [page.name for page in folder.glob("[0-9]*.md") if f"({page.name})" not in listed] == []
