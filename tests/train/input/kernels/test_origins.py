"""The source files that a module's code comes from."""

import sys
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType

import pytest

from headrace.train.input.decode import turbo_library
from headrace.train.input.kernels import filters, headers, origins, read, resize, scale, strips, turbojpeg
from tests.checkout import ROOT

RESIZE = {"resize", "arguments", "filters", "jit", "libc", "plain", "simd", "strips"}


@pytest.mark.parametrize(
    ("module", "wanted"),
    [
        (resize, RESIZE),
        (filters, {"filters", "arguments", "jit"}),
        (strips, {"strips", "arguments", "jit", "libc", "plain"}),
        (scale, {"scale", "arguments", "jit", "plain"}),
        (read, {"read", "arguments", "jit", "libc", "plain"}),
        (headers, {"headers", "arguments", "jit", "plain"}),
        (turbojpeg, {"turbojpeg", "arguments", "jit"}),
        (turbo_library, {"turbo_library", "turbojpeg", "arguments", "jit"}),
    ],
)
def test_files_of_every_kernel(module: ModuleType, wanted: set[str]) -> None:
    """Each kernel's files are itself, the decorator's module, and all other modules of ours that it imports."""
    found = {path.stem for path in origins.files(module.__name__) if ROOT / "train" in path.parents}
    assert found - {"__init__"} == wanted


def test_every_module_of_loops_is_looked_at_above() -> None:
    """The table has all modules that use the decorator."""
    using = [path for path in (ROOT / "train").rglob("*.py") if "kernels.jit import " in path.read_text()]
    (mark,) = (mark for mark in test_files_of_every_kernel.pytestmark if mark.name == "parametrize")  # type: ignore[attr-defined]
    assert sorted(using) == sorted(Path(str(module.__file__)).resolve() for module, _ in mark.args[1])


def load(name: str) -> None:
    """Import a module that was written for a test."""
    spec = find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


SOURCES = {
    "kernels/__init__.py": "",
    "kernels/first.py": "import os\nfrom kernels.second import twice\nfrom kernels import (\n  third,\n  fourth\n)\n",
    "kernels/second.py": "def twice(x):\n    import kernels.deep.fifth, sys as system\n    return x\n",
    "kernels/third.py": "from headrace.train.input.decode.arrays import Jpegs\n",
    "kernels/fourth.py": "NUMBER = 1\n",
    "kernels/deep/__init__.py": "",
    "kernels/deep/fifth.py": "import kernels.first\n",
    "kernels/other.py": "",
}


def test_imports_in_all_their_forms_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Imports of modules and names, on several lines, in functions and in circles are followed."""
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    load("kernels.first")
    found = origins.files("kernels.first")
    wanted = {tmp_path / name for name in SOURCES if name != "kernels/other.py"}
    assert {path for path in found if tmp_path in path.parents} == wanted
    assert ROOT / "train/input/decode/arrays.py" in found
    for name in [name for name in sys.modules if name.partition(".")[0] == "kernels"]:
        del sys.modules[name]


def test_source_that_changed_after_the_start_has_no_stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed file has no stamp, because the loaded code may be older; neither has a module without a file."""
    (tmp_path / "late.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    load("late")
    assert origins.stamp("late") is None
    assert origins.stamp("sys") is None
    assert origins.stamp("headrace.train.input.kernels.scale") is not None
    del sys.modules["late"]
