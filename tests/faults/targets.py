"""One mutated input in a room of its own, the commands that are tried on it, and what is found to be wrong."""

import random
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tests.faults.answers import Answer, ask, faults_of
from tests.faults.mutations import Mutation

ROOM, OUT = "room", "out"
Listing = dict[str, tuple[int, int]]  # path -> size and time of modification


class Target(NamedTuple):
    """A kind of input. `build` makes what its cases share in a folder; `attack` tries one case."""

    name: str
    build: Callable[[Path], None]
    attack: Callable[["Case"], None]


class Case:
    """A copy of what `build` made in `whole`/room, to be spoilt by what the seed draws.

    A command may write to what is named in `written`, which is OUT and what is made beside it while it is written.
    """

    def __init__(self, whole: Path, room: Path, seed: int) -> None:
        shutil.copytree(whole / ROOM, room, symlinks=True)
        self.whole, self.room, self.seed = whole, room, seed
        self.draw = random.Random(seed)
        self.out = room / OUT
        self.spoilt = ""
        self.names: Collection[str] = ()
        self.written = [OUT, f".{OUT}.partial", f".{OUT}.lock"]
        self.wrong: list[str] = []
        self.codes: set[int] = set()
        self._before: Listing = {}

    def spoil(self, name: str, kinds: Sequence[Mutation]) -> None:
        """Damage a file of the room in one way; an error then has its name, or one of `names`."""
        kind = kinds[self.seed % len(kinds)]
        path = self.room / name
        with suppress(OSError):
            path = path.resolve(strict=True)
        path.write_bytes(kind(path.read_bytes(), self.draw))
        self.spoilt = f"{name} by {kind.__name__}"
        self.names = [*self.names, Path(name).name]

    def ask(self, *words: str | Path, codes: Collection[int] = (0, 2, 3), before: object = None) -> Answer:
        """Run a command; what is wrong with its end, or with what it wrote, is noted."""
        for name in ("home", "tmp"):
            (self.room / name).mkdir(exist_ok=True)
        self._before = dict(self._listed())
        answer = ask(*words, room=self.room, before=before)
        self.codes.add(answer.code)
        self.wrong += faults_of(answer, self.names, codes)
        after = dict(self._listed())
        changed = sorted(
            path for path in after.keys() | self._before.keys() if after.get(path) != self._before.get(path)
        )
        self.check(not changed, f"{answer}wrote elsewhere: {changed}")
        return answer

    def check(self, holds: bool, otherwise: str) -> None:
        """Note what is wrong unless the condition holds."""
        if not holds:
            self.wrong.append(otherwise)

    def _listed(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """All that lies in the room besides what may be written; of folders only that they are there."""
        waiting = [self.room]
        while waiting:
            for path in waiting.pop().iterdir():
                name = str(path.relative_to(self.room))
                if name in self.written:
                    continue
                seen = path.lstat()
                yield name, (-1, 0) if path.is_dir() and not path.is_symlink() else (seen.st_size, seen.st_mtime_ns)
                if path.is_dir() and not path.is_symlink():
                    waiting.append(path)


def built(whole: Path, *words: str | Path, before: object = None, code: int = 0) -> Answer:
    """Run a command that makes a part of what cases share. Raises ValueError unless it ends with that code."""
    answer = ask(*words, room=whole, before=before)
    if answer.code != code:
        raise ValueError(str(answer))
    return answer
