"""A page of docs as a notebook: examples/worked-example.ipynb is docs/worked-example.md.

    python -m tests.project.notebook

writes that notebook anew, from the root of the checkout.
"""

import json
import re
from typing import Any

from tests.checkout import ROOT

PAGE = ROOT / "docs" / "worked-example.md"
NOTEBOOK = ROOT / "examples" / "worked-example.ipynb"
_BLOCK = re.compile(r"```(sh|python)\n(.*?)\n```\n", re.DOTALL)


def notebook(page: str) -> str:
    """The notebook, JSON: text as it is, Python as code, shell as cells of bash that end at the first error."""
    cells, at = [], 0
    for block in _BLOCK.finditer(page):
        cells += _text(page[at : block.start()])
        language, code = block.groups()
        cells.append(_cell("code", code if language == "python" else f"%%bash -e\n{code}"))
        at = block.end()
    cells += _text(page[at:])
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _text(part: str) -> list[dict[str, Any]]:
    # Links are from docs, the notebook lies in examples beside it.
    moved = re.sub(r"\]\((?!\.\./|https?:|#)", "](../docs/", part.strip())
    return [_cell("markdown", moved)] if moved else []


def _cell(kind: str, source: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": "", "metadata": {}, "source": source.splitlines(keepends=True)}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def main() -> None:
    """Write the notebook."""
    NOTEBOOK.write_text(notebook(PAGE.read_text("utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
