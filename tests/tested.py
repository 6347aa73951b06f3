"""What depends on the exact versions of packages is tested only with those that constraints.txt names."""

from importlib.metadata import version

import pytest

from tests.checkout import ROOT


def is_tested(*names: str) -> bool:
    """Whether these distributions are installed in the versions that constraints.txt names."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = dict(line.split(";")[0].strip().split("==") for line in lines if "==" in line and not line.startswith("#"))
    return all(version(name).partition("+")[0] == pins[name] for name in names)


def needs_tested(*names: str) -> pytest.MarkDecorator:
    """Skip a test if one of these distributions has another version."""
    return pytest.mark.skipif(not is_tested(*names), reason=f"depends on the versions of {', '.join(names)}")
