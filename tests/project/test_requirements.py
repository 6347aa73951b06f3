import re
import sys
import tomllib

import pytest

from tests.checkout import ROOT
from tests.project.sources import COMPUTED, Source, product, read, under

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
HOUSE = ("headrace", "tests", "benchmarks")
DISTRIBUTION_OF = {
    "PIL": "pillow",
    "yaml": "pyyaml",
    "mlflow": "mlflow-skinny",
    "nvidia.dali": "nvidia-dali-cuda120",
    "nvidia.nvimgcodec": "nvidia-nvimgcodec-cu12",
}
"""Imports that are not called like the distribution that brings them."""


def canonical(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    """The distributions that these requirements name."""
    return {canonical(re.split(r"[^\w.-]", requirement, maxsplit=1)[0]) for requirement in requirements}


RUNTIME = names(PROJECT["dependencies"])
_EXTRAS = ("lite", "timm", "formats", "export", "tensorboard", "wandb", "mlflow", "cloud", "aws", "query", "ray")
OPTIONAL = names([one for extra in _EXTRAS for one in PROJECT["optional-dependencies"][extra]])
DEVELOPMENT = names(PROJECT["optional-dependencies"]["dev"])


def distribution(module: str) -> str | None:
    """The distribution that an imported name comes from; None for the standard library and our own."""
    for prefix, found in DISTRIBUTION_OF.items():
        if under(module, (prefix,)):
            return found
    top = module.split(".", maxsplit=1)[0]
    return None if top in sys.stdlib_module_names or top in (*HOUSE, COMPUTED) else canonical(top)


def undeclared(source: Source, declared: set[str]) -> list[str]:
    """Imports that these requirements do not bring."""
    return [
        f"{source.path}:{item.line}: imports {item.name}, which pyproject.toml does not declare for it"
        for item in source.imports()
        if distribution(item.name) not in {None, *declared}
    ]


def eager(source: Source) -> list[str]:
    """Optional requirements that are imported with the module, and so not optional."""
    return [
        f"{source.path}:{item.line}: imports {item.name}, which is optional, outside a function"
        for item in source.imports()
        if distribution(item.name) in OPTIONAL and not item.deferred
    ]


def test_product_imports_only_what_it_declares() -> None:
    """Each import of the packages is a requirement of theirs, never one for development."""
    assert [line for source in product() for line in undeclared(source, RUNTIME | OPTIONAL)] == []


def test_optional_requirements_are_imported_late() -> None:
    """Headrace loads without its optional requirements."""
    assert [line for source in product() for line in eager(source)] == []


def test_tests_import_only_what_is_declared() -> None:
    """Whoever installs `.[dev]` can run every test; those of an extra have its requirements too."""
    everywhere = RUNTIME | OPTIONAL | DEVELOPMENT
    sources = [read(path) for path in sorted((ROOT / "tests").rglob("*.py"))]
    assert [line for source in sources for line in undeclared(source, everywhere | of_an_extra(source.path))] == []


def of_an_extra(path: str) -> set[str]:
    """What the requirements of a test's folder add."""
    listed = (ROOT / path).with_name("requirements.txt")
    return (
        names([line for line in listed.read_text("utf-8").splitlines() if line[:1] != "#"])
        if listed.exists()
        else set()
    )


def test_every_requirement_is_pinned() -> None:
    """The constraints hold one exact version of each requirement, and nothing that ties them to a machine."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line.split(";")[0].strip() for line in lines if not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[a-z0-9-]+==[0-9.]+((a|b|rc)[0-9]+|\.?post[0-9]+)?", pin)] == []
    assert names(pins) >= RUNTIME | OPTIONAL | DEVELOPMENT


@pytest.mark.parametrize(
    "text",
    [
        "import requests",
        "from nvidia import cublas",
        "import pytest",
        "def later():\n    from hypothesis import given",
        "import importlib\nimportlib.import_module('yaml')",
    ],
)
def test_undeclared_import_is_found(text: str) -> None:
    """The checker sees a missing requirement and one that is for development only."""
    assert len(undeclared(Source("train/step/update.py", text), RUNTIME | OPTIONAL)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "import numpy as np",
        "import nvidia.dali.fn as fn",
        "from nvidia import nvimgcodec",
        "import tomli_w",
        "from collections import abc",
        "from headrace.shards.tar import TarWriter",
    ],
)
def test_declared_import_is_let_pass(text: str) -> None:
    """Requirements, the standard library and our own modules need no more than they have."""
    assert undeclared(Source("train/step/update.py", text), RUNTIME) == []


def test_eager_optional_import_is_found() -> None:
    """The checker tells an import with the module from one inside a function."""
    late = "def later():\n    import onnx"
    assert len(eager(Source("train/evaluate/export/writers.py", "import onnx"))) == 1
    assert eager(Source("train/evaluate/export/writers.py", late)) == []
