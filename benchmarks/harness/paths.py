"""Where the checkout and its results lie, and what `python -m` calls a file in it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def module_of(file: str | Path) -> str:
    """The name of a file's module; that of a folder for its `__main__.py`."""
    parts = Path(file).resolve().relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__main__")
