"""What an index shows of the package: README without links that lead nowhere, and metadata that say what is true."""

import re

import pytest

from tests.checkout import ROOT
from tests.project.package_page import PAGE, README, page, relative
from tests.project.test_requirements import PROJECT

TEXT = (
    "# A\n\nSee [docs/a.md](docs/a.md), [its page](docs/b.md#c), [there](https://example.org/x).\n\n![curve](c.svg)\n"
)


def test_page_of_the_index_is_readme() -> None:
    """`python -m tests.project.package_page` writes it; no link leads to a file that an index does not have."""
    written = PAGE.read_text("utf-8")
    assert written == page(README.read_text("utf-8")), "run `python -m tests.project.package_page`"
    assert PROJECT["readme"] == PAGE.name
    assert relative(README.read_text("utf-8")) != []
    assert relative(written) == []


def test_links_become_paths() -> None:
    """Without an address a link names its file and a picture is left out; other links stay."""
    shown = page(TEXT, None)
    assert "See `docs/a.md`, its page (`docs/b.md`), [there](https://example.org/x).\n" in shown
    assert "curve" not in shown
    assert "source distribution" in shown


def test_links_lead_to_the_address_of_the_repository() -> None:
    """With one, a link and a picture are absolute, at the tag of this version."""
    shown = page(TEXT, "https://example.org/r")
    tag = f"v{PROJECT['version']}"
    assert f"[its page](https://example.org/r/blob/{tag}/docs/b.md#c)" in shown
    assert f"![curve](https://example.org/r/raw/{tag}/c.svg)" in shown
    assert relative(shown) == []


def test_code_is_left_as_it_is() -> None:
    """What looks like a link inside a block of code is code."""
    block = "# A\n\nText.\n\n```python\nx[0](y)\n```\n"
    assert "x[0](y)" in page(block, None)
    assert relative(block) == []


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE"])
def test_licence_and_notice_are_shipped(name: str) -> None:
    """Both are licence files of the package."""
    assert name in PROJECT["license-files"]
    assert (ROOT / name).is_file()


def test_notice_names_what_is_shipped_and_what_is_loaded() -> None:
    """Each data file of others in the package, and each package with weights that pyproject.toml names."""
    notice = (ROOT / "NOTICE").read_text("utf-8")
    everything = [
        *PROJECT["dependencies"],
        *(one for extra in PROJECT["optional-dependencies"].values() for one in extra),
    ]
    weights = {found[0] for one in everything if (found := re.match(r"[\w-]*efficientnet[\w-]*model", one))}
    assert {"train/model/imagenet-synsets.txt", *weights} <= set(re.findall(r"[\w./-]+[\w]", notice))
    assert len(weights) == 3
