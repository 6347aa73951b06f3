"""Lists the benchmarks: `python -m benchmarks`."""

import ast
from pathlib import Path

from benchmarks.harness.paths import module_of

HERE = Path(__file__).parent


def commands() -> dict[str, str]:
    """A sentence for each command that says what it measures, by name; modules are read, not imported."""
    found = {}
    for path in sorted(HERE.rglob("*.py")):
        text = path.read_text("utf-8")
        if path != Path(__file__) and HERE / "harness" not in path.parents and '\nif __name__ == "__main__":' in text:
            found[module_of(path)] = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return found


if __name__ == "__main__":
    for name, sentence in commands().items():
        print(f"python -m {name:<30} {sentence}")
