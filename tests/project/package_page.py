"""PACKAGE.md: README as a package index can show it, where a relative link leads nowhere.

    python -m tests.project.package_page

writes it again. Links to files of the repository become their paths in words, and pictures are left out. Once the
repository has an address, [project.urls] Repository in pyproject.toml, links and pictures lead there.
"""

import re

from tests.checkout import ROOT
from tests.project.test_requirements import PROJECT

README, PAGE = ROOT / "README.md", ROOT / "PACKAGE.md"
NOTE = (
    "Paths on this page are those of files in the source distribution, the .tar.gz among the files of this version.\n"
)
_LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?!\w+:|#)(?P<target>[^)\s]+)\)")
_FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)


def page(readme: str, address: str | None = PROJECT.get("urls", {}).get("Repository")) -> str:
    """README for an index; `address` is that of the repository, whose files are at address/blob/vVERSION/PATH."""
    parts = _FENCED.split(readme)  # code in between
    parts[::2] = [_LINK.sub(lambda link: _shown(link, address), part) for part in parts[::2]]
    text = re.sub(r"\n[ \t]*\n(?:[ \t]*\n)+", "\n\n", "".join(parts))
    if address:
        return text
    title, _, rest = text.partition("\n\n")
    return f"{title}\n\n{NOTE}\n{rest}"


def relative(text: str) -> list[str]:
    """Targets of links and pictures that lead nowhere on an index."""
    return [link["target"] for part in _FENCED.split(text)[::2] for link in _LINK.finditer(part)]


def _shown(link: re.Match[str], address: str | None) -> str:
    text, target = link["text"], link["target"]
    if address:
        kind = "raw" if link["picture"] else "blob"
        return f"{link['picture']}[{text}]({address}/{kind}/v{PROJECT['version']}/{target})"
    if link["picture"]:
        return ""
    file = target.partition("#")[0]
    if text == file or file.startswith(f"{text}/"):
        return f"`{file}`"
    return f"{text} (`{file}`)"


if __name__ == "__main__":
    PAGE.write_text(page(README.read_text("utf-8")), encoding="utf-8")
