import re

from tests.project.pinned import PAGE, closure, constraints, pinned
from tests.tested import needs_tested

TEXT = PAGE.read_text("utf-8")


@needs_tested("numba", "pyarrow", "webdataset")
def test_pinned_requirements_are_the_tested_set() -> None:
    """All that pyproject.toml leads to, at the versions of constraints.txt; torch alone is the user's choice."""
    assert pinned(TEXT) == closure(), "run `make requirements`"
    assert f"torch=={constraints()['torch']}\n" in TEXT
    assert {"sympy", "pydantic-core", "numpy"} <= pinned(TEXT).keys()


@needs_tested("numba", "pyarrow", "webdataset")
def test_each_requirement_has_hashes_and_no_address() -> None:
    """Every version is followed by SHA-256 hashes, and no line names a place to load from."""
    blocks = re.split(r"^(?=[a-z0-9-]+==)", TEXT, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(closure())
    assert [block for block in blocks if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", block)] == []
    assert re.findall(r"://|--index|--find-links| @ ", TEXT) == []
