"""What training on a GPU imports is on the list that a machine without a network is prepared by."""

import re
import subprocess
import sys
import textwrap

from benchmarks.gpu.__main__ import PARTS
from tests.checkout import ROOT

MODULES = ["headrace.cli", "headrace.commands.train", "headrace.train.run.training", "nvidia.dali.plugin.pytorch"]


def listed() -> set[str]:
    """The packages of benchmarks/gpu/README.md."""
    page = (ROOT / "benchmarks" / "gpu" / "README.md").read_text(encoding="utf-8")
    rows = [row for row in page.partition("## Packages")[2].splitlines() if row.startswith("| ")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_nothing_else_is_imported() -> None:
    """In a process to which every other package is unknown; numba, which would be found, is one of these."""
    allowed = {*listed(), "headrace", "benchmarks", "torchgen", "functorch"}
    assert "numba" not in allowed
    program = textwrap.dedent(f"""
        import sys
        from importlib import import_module
        from importlib.machinery import PathFinder

        class Blocked:
            def find_spec(self, name, path=None, target=None):
                top = name.partition(".")[0]
                if top in sys.stdlib_module_names or top in {sorted(allowed)} or top.startswith("_"):
                    return None
                raise ModuleNotFoundError(f"{{name}} is not on the list", name=name)

        sys.meta_path.insert(0, Blocked())
        for module in {[*MODULES, *(f"benchmarks.gpu.{module}" for module in PARTS.values())]}:
            import_module(module)
        try:
            import numba
        except ModuleNotFoundError:
            print("blocked")
    """)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-1500:]
    assert done.stdout.strip() == "blocked"
