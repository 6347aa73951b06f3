"""The source of the site: docs as they are, and what they link to elsewhere in the checkout.

    python -m tests.project.site_source FOLDER

writes FOLDER/pages and FOLDER/zensical.toml, from which `zensical build` makes FOLDER/site; `make docs` does both.

Pages read well where they lie, so their links lead to files of the checkout. A site has no other files: so a linked
file outside docs becomes a page too, below `repository`, and source code is shown as a page.
"""

import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

import tomli_w

from tests.checkout import ROOT

DOCS = ROOT / "docs"
ELSEWHERE = "repository"
_LINK = re.compile(r"(?<=\]\()([^)#\s]+)")
_PICTURES = (".svg", ".png", ".jpg")
_LANGUAGES = {".py": "python", ".toml": "toml", ".yaml": "yaml", ".json": "json", ".ipynb": "json"}


class Site:
    """Files that were staged, by their path in the checkout."""

    def __init__(self, out: Path) -> None:
        self._pages = out / "pages"
        self._staged: set[Path] = set()

    def stage(self, path: Path) -> None:
        """Write a file as a page or picture, and all that it links to."""
        if path in self._staged:
            return
        self._staged.add(path)
        target = self._pages / self._place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in _PICTURES:
            shutil.copy2(path, target)
        elif path.suffix == ".md":
            text = path.read_text("utf-8")
            target.write_text(_LINK.sub(lambda found: self._linked(path, found[1]), text), "utf-8")
        else:
            target.write_text(_shown(path), "utf-8")

    def _place(self, path: Path) -> Path:
        """Where it lies below pages."""
        place = path.relative_to(DOCS) if path.is_relative_to(DOCS) else ELSEWHERE / path.relative_to(ROOT)
        if path.is_dir():
            return place / "index.md"
        return place if path.suffix in (".md", *_PICTURES) else place.with_name(f"{place.name}.md")

    def _linked(self, page: Path, link: str) -> str:
        """The link as it reads in the site; what it leads to is staged."""
        if "://" in link:
            return link
        target = Path(os.path.normpath(page.parent / link))
        if target.is_dir() and (target / "README.md").is_file():
            target /= "README.md"
        self.stage(target)
        return os.path.relpath(self._place(target), self._place(page).parent)


def _shown(path: Path) -> str:
    """A folder as a list of its files, source code as a block."""
    title = f"---\nsearch:\n  exclude: true\n---\n\n# {path.relative_to(ROOT)}\n\n"
    if path.is_dir():
        return title + "".join(f"- `{one.name}`\n" for one in sorted(path.iterdir()) if one.name[0] not in "._")
    return (
        f"{title}````{_LANGUAGES.get(path.suffix, 'sh' if path.suffix else 'text')}\n{path.read_text('utf-8')}\n````\n"
    )


def navigation() -> list[dict[str, list[dict[str, str]]]]:
    """The sections of docs/index.md with their pages."""
    text = (DOCS / "index.md").read_text("utf-8")
    sections = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return [
        {name: [{t: p} for t, p in re.findall(r"^\| \[(.+?)\]\((\S+?)\)", rows, re.MULTILINE)]}
        for name, rows in sections
    ]


def write(out: Path) -> None:
    """Write pages and configuration into a folder, anew."""
    shutil.rmtree(out, ignore_errors=True)
    site = Site(out)
    for page in sorted(DOCS.rglob("*.md")):
        site.stage(page)
    shutil.copy2(DOCS / "site.css", out / "pages")
    settings = tomllib.loads((DOCS / "zensical.toml").read_text("utf-8"))
    settings["project"]["nav"] = [{"Headrace": "index.md"}, *navigation()]
    (out / "zensical.toml").write_text(tomli_w.dumps(settings), "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
