"""Whether the tag, pyproject.toml and CHANGELOG.md name one version: a release begins with this check."""

import os
import re
import sys
import tomllib

from tests.checkout import ROOT


def disagreements(tag: str, project: str, changelog: str) -> list[str]:
    """Sentences, one for each place whose version differs from pyproject.toml; none if a release may begin."""
    version = tomllib.loads(project)["project"]["version"]
    found = [] if tag == f"v{version}" else [f"The tag is {tag or 'empty'}, and pyproject.toml expects v{version}."]
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        found.append(f"CHANGELOG.md has no heading `## [{version}] - YYYY-MM-DD`.")
    return found


def main() -> None:
    """Exit with what differs, if anything does."""
    texts = ((ROOT / name).read_text("utf-8") for name in ("pyproject.toml", "CHANGELOG.md"))
    found = disagreements(os.environ.get("TAG", ""), *texts)
    if found:
        sys.exit("\n".join(["No release: the versions differ.", *found, "Correct them, then tag again."]))


if __name__ == "__main__":
    main()
