"""The paths of the checkout and of its results, and the module names of its files."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def module_of(file: str | Path) -> str:
    """The name of a file's module; for `__main__.py`, the name of its folder."""
    parts = Path(file).resolve().relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__main__")
