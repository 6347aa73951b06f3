"""Draws sentences at random from what the project shows to people, for a reader who judges whether each is clear.

    python -m tests.project.sentences SEED [COUNT]

prints COUNT sentences (by default 50), the same ones for the same seed, in equal numbers of each kind: errors, help,
docstrings, README and docs. Below each stand its place and what a reader sees around it: the function or the heading,
the docstring, message or paragraph that it is a part of, and for a docstring what the file and the class say first.
"""

import random
import sys

from tests.project.prose import Passage, passages, sentences

KINDS = ("error", "help", "docstring", "readme", "docs")


def draw(seed: int, count: int) -> list[Passage]:
    """`count` different sentences; their order and choice follow from the seed and the texts."""
    pools: dict[str, list[Passage]] = {kind: [] for kind in KINDS}
    for passage in passages():
        if passage.kind in pools:
            pools[passage.kind] += sentences(passage)
    chosen, source = list[Passage](), random.Random(seed)
    for number, kind in enumerate(KINDS):
        share = count // len(KINDS) + (number < count % len(KINDS))
        pool = sorted({one.text: one for one in pools[kind]}.values())
        chosen += source.sample(pool, min(share, len(pool)))
    return chosen


def shown(number: int, one: Passage) -> str:
    """A sentence with its number, and what stands around it."""
    within = f"  {one.within[:120]}" if one.within else ""
    text = f"{number:3} {one.kind:9} {one.text}\n{'':13} {one.path}:{one.line}{within}\n"
    whole = " ".join(one.whole.split())
    above = f"{'':13} above: {one.above}\n" if one.above else ""
    return f"{text}{above}" if whole == one.text else f"{text}{above}{'':13} in: {whole}\n"


def main(arguments: list[str]) -> None:
    """Print the sentences, each with its number and its place."""
    seed, count = int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 50
    for number, one in enumerate(draw(seed, count), 1):
        sys.stdout.write(shown(number, one))


if __name__ == "__main__":
    main(sys.argv[1:])
