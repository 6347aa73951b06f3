"""The command of a benchmark: options that all benchmarks parse in the same way, and the result that it writes."""

import argparse
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import result
from benchmarks.harness.paths import RESULTS, module_of
from benchmarks.harness.tables import Row

SHARED: dict[str, dict[str, Any]] = {
    "repeats": {"type": int, "help": "repetitions of every contender"},
    "sizes": {"type": int, "nargs": "+", "help": "sides of the images, pixels"},
    "batch": {"type": int, "help": "images per step"},
    "seconds": {"type": float, "help": "seconds of one measurement"},
}
"""Options that mean the same in all benchmarks that have them."""
NO_PART = ("--help", "--work", "--out")
"""Options that are omitted from the command in a result."""


class Benchmark:
    """The command of the module in `file`, whose docstring `doc` consists of a sentence, the usage, and the method.

    Its results are called NAME-DATE.json and NAME-DATE.md.
    """

    def __init__(self, file: str, doc: str | None, name: str, title: str) -> None:
        self.method = (doc or "").split("\n\n", 2)[-1].strip()
        self.name, self._title = name, title
        self._program = f"python -m {module_of(file)}"
        self._parser = argparse.ArgumentParser(prog=self._program, description=(doc or "").partition("\n")[0])
        self.add("--out", type=path, metavar="FOLDER", default=RESULTS, help="folder of the result")
        self._about: dict[str, Any] = {}
        self._folder = RESULTS

    def add(self, *names: str, **settings: Any) -> None:
        """Add an option or argument, as in argparse; the help text should name the default."""
        self._parser.add_argument(*names, **settings)

    def share(self, **defaults: Any) -> None:
        """Add options that other benchmarks have too, each with its default for this benchmark."""
        for name, default in defaults.items():
            self.add(f"--{name}", default=default, **SHARED[name])

    def parse(self, **facts: Any) -> argparse.Namespace:
        """Parse the arguments, and record facts about the machine now, such as its load; `facts` are added to them."""
        asked = self._parser.parse_args()
        self._about, self._folder = result.facts(self._command(asked), **facts), asked.out
        return asked

    def fail(self, error: Exception, status: int = 1) -> None:
        """End the process with one line about the error."""
        self._parser.exit(status, f"{error}\n")

    def note(self, **facts: Any) -> None:
        """Add facts that are known only after the start."""
        self._about |= facts

    @property
    def path(self) -> Path:
        """The path of the result, without its ending."""
        return Path(self._folder / f"{self.name}-{self._about['date']}")

    def write(self, tables: Mapping[str, Sequence[Row]], method: str = "", **more: Any) -> None:
        """Write the result and print its path. `method` replaces the docstring's; `more` goes only to the JSON."""
        print(result.write(self.path, self._title, self._about, method or self.method, tables, **more))

    def _command(self, asked: argparse.Namespace) -> str:
        """The command with the values of all options; paths of files and folders are replaced by names."""
        words = [self._program]
        for action in self._parser._actions:  # noqa: SLF001  argparse has no other list of them
            value = getattr(asked, action.dest, None)
            option = action.option_strings[-1:]
            if value is not None and value is not False and value != [] and not {*option} & {*NO_PART}:
                words += [*option, *quoted(action.dest, value)]
        return " ".join(words)


def quoted(name: str, value: Any) -> list[str]:
    """The value of an option as words of a command."""
    if value is True:
        return []
    if isinstance(value, Path):
        return [name.upper()]
    if isinstance(value, float):
        return [f"{value:g}"]
    return [shlex.quote(str(word)) for word in (value if isinstance(value, list) else [value])]


def path(text: str) -> Path:
    """The absolute path, because contenders run in the root of the checkout."""
    return Path(text).expanduser().absolute()
