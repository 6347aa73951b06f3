"""docs/versions.md names each use of what other packages do not promise, and nothing that is gone."""

import tomllib

import pytest

from tests.checkout import ROOT
from tests.project.sources import Source, product, read
from tests.project.test_requirements import PROJECT
from tests.project.versions import PAGE, Row, missing, private_names, rows

ROWS = rows(PAGE.read_text("utf-8"))
OTHERS = [read(path) for folder in ("benchmarks", "examples") for path in sorted((ROOT / folder).rglob("*.py"))]


def test_each_use_is_where_the_page_says() -> None:
    """Every name of a row is in every file of it."""
    assert len(ROWS) > 20
    assert [gone for row in ROWS for path in row.files for gone in missing(row, read(ROOT / path))] == []


def test_each_private_name_is_on_the_page() -> None:
    """Private names of torch, DALI, numba and llvmlite; in the product also what a comment excuses to the linter."""
    found = [one for source in product() for one in private_names(source)]
    found += [one for source in OTHERS for one in private_names(source, marked=False)]
    assert len(found) > 10
    assert [f"{one.path}:{one.line}: {one.name}" for one in found if not one.is_in(ROWS)] == []


def test_each_row_says_when_it_goes() -> None:
    """Four cells, none of them empty."""
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    assert [line for line in lines if len(line.strip("| ").split(" | ")) != 4] == []


@pytest.mark.parametrize(
    "text",
    [
        "import torch\ntorch._inductor.config.other = 1",
        "from torch._C import _other",
        "from nvidia.dali import _conditionals",
        "import nvidia.dali as dali\ndali._utils.hook()",
        "from numba.core import _thing",
        "def of(module):\n    return module._hidden  # noqa: SLF001",
    ],
)
def test_private_name_without_a_row_is_found(text: str) -> None:
    """Imported, used, and of an object; a row of another file does not count."""
    (found,) = private_names(Source("train/step/update.py", text))
    assert not found.is_in(ROWS)
    assert found.is_in([Row([found.name], ["train/step/update.py"])])
    assert not found.is_in([Row([found.name], ["train/step/rate.py"])])


def test_use_that_is_gone_is_found() -> None:
    """A row whose file has the name no more."""
    row = Row(["torch._dynamo.config.optimize_ddp"], ["train/step/update.py"])
    assert missing(row, Source("train/step/update.py", "import torch")) == [
        "train/step/update.py: torch._dynamo.config.optimize_ddp"
    ]
    assert missing(row, Source("train/step/update.py", "import torch\ntorch._dynamo.config.optimize_ddp = False")) == []


def test_tested_versions_are_shipped_and_allowed() -> None:
    """The pins are a file of the package; torch's is one that pyproject.toml allows."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-data"]
    assert "constraints.txt" in settings["headrace"]
    (torch,) = [one for one in PROJECT["dependencies"] if one.startswith("torch")]
    assert "<" not in torch
