"""The page of all recipe keys is the program's."""

from headrace.train.recipe.recipe import Recipe
from tests.project.recipe_keys import PAGE, descriptions, page
from tests.tested import needs_tested


@needs_tested("pydantic")
def test_page_is_what_the_program_has() -> None:
    """`python -m tests.project.recipe_keys` writes it."""
    assert PAGE.read_text("utf-8") == page()


def test_every_key_is_described() -> None:
    """No key stands there without a word."""
    for name, field in Recipe.model_fields.items():
        assert all(descriptions(field.annotation).values()), name


def test_every_key_is_on_the_page() -> None:
    """A recipe with every value written out has no key beyond those of the page."""
    written = page()
    for name, section in Recipe().model_dump().items():
        part = written.split(f"## {name}\n")[1].split("\n## ")[0]
        assert all(f"| `{key}` |" in part for key in section), name
