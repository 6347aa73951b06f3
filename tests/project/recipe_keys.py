"""A page with all keys of a recipe, made from the program itself: docs/recipe-keys.md is the committed copy.

    python -m tests.project.recipe_keys

rewrites that page; run it from the root of the checkout.
"""

import ast
import inspect
from collections.abc import Iterator
from typing import Any

from headrace.train.recipe.recipe import Recipe
from tests.checkout import ROOT

PAGE = ROOT / "docs" / "recipe-keys.md"
_UNBOUNDED = 2**53  # from there on a bound is that of the file format
_TABLE = "| key | values | default | what it is |\n|---|---|---|---|\n"
_HEAD = """\
# The keys of a recipe

A recipe is a TOML file with these sections. If a recipe omits a key, the key has its default value.
`headrace recipes show NAME` prints a recipe with every value written out.
`--set SECTION.KEY=VALUE` changes a value for one run.
"""


def page() -> str:
    """The whole page, Markdown."""
    return _HEAD + "".join(
        f"\n## {name}\n\n{(model.__doc__ or '').strip()}\n\n{_TABLE}"
        + "".join(f"| `{key}` | {values} | {default} | {words} |\n" for key, values, default, words in _keys(model))
        for name, model in _sections()
    )


def _sections() -> Iterator[tuple[str, Any]]:
    for name, field in Recipe.model_fields.items():
        yield name, field.annotation


def _keys(model: Any) -> Iterator[tuple[str, str, str, str]]:
    """Key, values, default and description of every field of a section."""
    words = descriptions(model)
    for key, schema in model.model_json_schema()["properties"].items():
        yield key, _values(schema), _default(model.model_fields[key].default), words[key]


def descriptions(model: Any) -> dict[str, str]:
    """The text below each field of a section; "" where there is none."""
    (body,) = (node.body for node in ast.parse(inspect.getsource(model)).body if isinstance(node, ast.ClassDef))
    found = {}
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            text = ""
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                text = " ".join(str(after.value.value).split())
            found[node.target.id] = text
    return found


def _values(schema: dict[str, Any]) -> str:
    """What a field takes, in words."""
    if "oneOf" in schema:
        return ", or ".join(_values(one) for one in schema["oneOf"])
    if word := schema.get("const") or next(iter(schema.get("examples", [])), ""):
        return f"`{word}`" if "const" in schema else f"text such as `{word}`"
    if "anyOf" in schema:
        return " or none".join(_values(one) for one in schema["anyOf"] if one.get("type") != "null") + " or none"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "array":
        return _list(schema)
    kind = {"integer": "whole number", "number": "number", "boolean": "`true`, `false`", "string": "text"}
    bounds = [
        f"{word} {schema[name]:,}"
        for name, word in (
            ("exclusiveMinimum", "above"),
            ("minimum", "from"),
            ("maximum", "to"),
            ("exclusiveMaximum", "below"),
            ("multipleOf", "a multiple of"),
        )
        if name in schema and schema[name] < _UNBOUNDED
    ]
    words = ", ".join(bounds)
    words = words.replace(", to", " to") if words.startswith("from") else words.replace(", to", ", at most")
    return f"{kind[schema['type']]} {words}".strip()


def _list(schema: dict[str, Any]) -> str:
    """What a list takes, in words."""
    if "enum" in schema.get("items", {}):
        return f"a list of {_values(schema['items'])}"
    inner = schema.get("prefixItems") or schema.get("items", {}).get("prefixItems") or []
    each = [_values(one) for one in inner]
    if "prefixItems" not in schema:
        return f"a list of [{'; '.join(each)}]"
    return f"two values, each a {each[0]}" if each[0] == each[1] else f"[{'; '.join(each)}]"


def _default(value: Any) -> str:
    if value is None:
        return "none"
    if value in ("", ()):
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(f'{one:.4g}' for one in value)}]`"
    return f"`{value}`"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
