"""What "auto" comes to for sets of several sizes, as tables: docs/recipes.md has them between two marks.

    python -m tests.project.automatic_tables

writes them anew, from the root of the checkout.
"""

from headrace.train.recipe.automatic import Facts, settle
from headrace.train.recipe.recipe import load_recipe
from headrace.train.recipe.settled import Settled
from tests.checkout import ROOT

PAGE = ROOT / "docs" / "recipes.md"
BEGIN, END = ("<!-- made by `python -m tests.project.automatic_tables`, held by a test -->", "<!-- end -->")
SAMPLES = (50, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000)
CLASSES = (2, 10, 100, 1_000)
SIDES = (32, 64, 96, 128, 224, 500, 4_000)


def tables() -> str:
    """Both tables, Markdown."""
    return f"{_by_images()}\n{_by_side()}"


def _by_images() -> str:
    head = ["training images", *(f"epochs for {classes:,} classes" for classes in CLASSES), "batch", "group"]
    rows = []
    for samples in SAMPLES:
        found = [numbers(Facts(samples, classes, 64)).train for classes in CLASSES]
        known = [str(one.epochs) if classes <= samples else "" for one, classes in zip(found, CLASSES, strict=True)]
        rows.append([f"{samples:,}", *known, str(found[0].global_batch), str(found[0].group)])
    return _table(head, rows)


def _by_side() -> str:
    rows = []
    for side in SIDES:
        found = numbers(Facts(1_000, 10, side))
        rows.append([f"{side:,}", str(found.augment.size), str(found.evaluate.size)])
    return _table(["median shorter side", "trained at", "evaluated at"], rows)


def numbers(facts: Facts) -> Settled:
    """The recipe finetune for a training split like this."""
    return settle(load_recipe("finetune"), facts, "finetune")


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines).replace("|  |", "| |").replace("|  |", "| |")


def written() -> str:
    """What the page has between the marks."""
    return PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].strip() + "\n"


def main() -> None:
    """Write them."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{tables()}\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
