"""Words that texts for people avoid, and what to use instead; `python -m tests.project.words` lists the places."""

import re
import sys
from typing import NamedTuple

from tests.project.prose import Passage, literals, passages


class Avoided(NamedTuple):
    """A word to avoid, the one to use, the pattern that finds it, and an example that the pattern must find."""

    avoid: str
    use: str
    pattern: str
    example: str


AVOIDED = (
    Avoided("anew", "again", r"\banew\b", "is made anew"),
    Avoided("for ever", "forever", r"\bfor ever\b", "waits for ever"),
    Avoided("at the most", "at most", r"\bat the most\b", "ten at the most"),
    Avoided("leave away", "omit", r"\bleaves? (it |them )?away\b", "leave it away"),
    Avoided("go on by", "resume with", r"\bgo(es)? on by\b", "go on by --resume"),
    Avoided("so many seconds", "this many seconds", r"\bso many (seconds|minutes|steps|bytes|threads|tars)\b",
            "after so many seconds"),
    Avoided("where it is not there", "if missing", r"\bwhere it is not there\b", "made where it is not there"),
    Avoided("is there already", "exists already", r"\bis there already\b", "it is there already"),
    Avoided("in the place of", "in place of, instead of", r"\bin the place of\b", "in the place of it"),
    Avoided("that can be read", "readable", r"\bno \w+ that can be read\b", "no file that can be read"),
    Avoided("utilize", "use", r"\butili[sz]e[sd]?\b", "utilizes the GPU"),
    Avoided("in order to", "to", r"\bin order to\b", "in order to train"),
    Avoided("simply, just (as filler)", "nothing", r"\bsimply\b", "simply call it"),
)  # fmt: skip


def faults(passage: Passage) -> list[str]:
    """A line for each word to avoid in a passage."""
    return [
        f"{passage.path}:{passage.line}: {found[0]!r}: use {one.use!r}"
        for one in AVOIDED
        for found in re.finditer(one.pattern.replace(" ", r"\s+"), passage.text, re.IGNORECASE)
    ]


def main() -> None:
    """Print each word to avoid with its place; the exit code is 1 if there is any."""
    found = [fault for passage in (*passages(), *literals("benchmarks")) for fault in faults(passage)]
    sys.stdout.write("".join(f"{line}\n" for line in found))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
