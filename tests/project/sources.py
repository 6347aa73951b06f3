"""Python files as syntax trees, with the names that each one imports and uses."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from tests.checkout import ROOT

ROOMS = ("cli", "commands", "prep", "shards", "train")
"""What stands at the top of the checkout and is shipped, besides the facade."""
COMPUTED = "a computed name"


@dataclass(frozen=True)
class Import:
    """One imported name in full: `from torch import nn` is torch.nn."""

    name: str
    line: int
    deferred: bool
    """Inside a function: it runs when that is called, not when the module is imported."""


@dataclass(frozen=True)
class Source:
    """One Python file; `path` is relative to the repository and has forward slashes."""

    path: str
    text: str

    @property
    def room(self) -> str:
        """The folder that the file lies in; at the top "cli", or "headrace" for the facade."""
        folder, _, name = self.path.rpartition("/")
        return folder or ("cli" if name == "cli.py" else "headrace")

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return _parsed(self.path, self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes of the tree."""
        return list(ast.walk(self.tree))

    @cached_property
    def attributes(self) -> list[ast.Attribute]:
        """Attributes as they are written, each whole: `a.b.c` is one."""
        found = [node for node in self.nodes if isinstance(node, ast.Attribute)]
        parts = {id(node.value) for node in found}
        return [node for node in found if id(node) not in parts]

    def imports(self) -> list[Import]:
        """All imports, deferred ones and those by `import_module("name")` too."""
        return _imports(self)

    def uses(self) -> list[tuple[str, int]]:
        """Attributes of imported names, whole and in full: after `import numpy as np`, np.random is numpy.random."""
        return _uses(self)

    def find_imports(self) -> list[Import]:
        """The same as `imports`, found anew."""
        defined = (ast.FunctionDef, ast.AsyncFunctionDef)
        functions = [node for node in self.nodes if isinstance(node, defined)]
        inside = {id(node) for function in functions for node in ast.walk(function)}
        return [
            Import(name, node.lineno, id(node) in inside)
            for node in self.nodes
            if isinstance(node, ast.Import | ast.ImportFrom | ast.Call)
            for name in self._imported(node)
        ]

    def find_uses(self) -> Iterator[tuple[str, int]]:
        """The same as `uses`, found anew."""
        aliases = dict(pair for node in self.nodes for pair in self._aliases(node))
        for node in self.attributes:
            root, *rest = dotted(node).split(".")
            if root in aliases:
                yield ".".join([aliases[root], *rest]), node.lineno

    def _imported(self, node: ast.Import | ast.ImportFrom | ast.Call) -> list[str]:
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            return [f"{self._origin(node)}.{alias.name}" for alias in node.names]
        if dotted(node.func).split(".")[-1] in ("import_module", "__import__") and node.args:
            name = node.args[0]
            return [str(name.value) if isinstance(name, ast.Constant) else COMPUTED]
        return []

    def _aliases(self, node: ast.AST) -> Iterator[tuple[str, str]]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (top, top)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, f"{self._origin(node)}.{alias.name}"

    def _origin(self, node: ast.ImportFrom) -> str:
        package = f"headrace/{self.path}".split("/")[: -node.level] if node.level else []
        return ".".join([*package, *([node.module] if node.module else [])])


# Every rule asks the same of all files, which takes seconds when each asks anew.
@cache
def _parsed(path: str, text: str) -> ast.Module:
    return ast.parse(text, path)


@cache
def _imports(source: Source) -> list[Import]:
    return source.find_imports()


@cache
def _uses(source: Source) -> list[tuple[str, int]]:
    return list(source.find_uses())


def dotted(node: ast.AST) -> str:
    """`a.b.c` as written; "" for what is not a chain of names."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""  # so a method of an expression is ".method"


def under(name: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of these or inside one."""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def kept() -> list[str]:
    """Paths of all files that git does not ignore; without git, of those not hidden, built or cached."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode == 0:
        return sorted(path for path in set(listing.stdout.split("\0")) if path and (ROOT / path).is_file())
    made = {"build", "demo", "dist", "__pycache__", "runs", "data"}
    files = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return sorted(
        path.as_posix()
        for path in files
        if not any(part.startswith(".") or part in made or part.endswith(".egg-info") for part in path.parts)
    )


def product() -> list[Source]:
    """All modules that are shipped, also those not committed yet."""
    tops = [ROOT / name for name in ("__init__.py", "__main__.py", "cli.py", "predicting.py")]
    return [read(path) for path in (*tops, *(path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))))]


def read(path: Path) -> Source:
    """The source at this path."""
    return Source(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))
