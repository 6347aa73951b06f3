"""All commands, as the program itself has them, as a page: docs/commands.md is the committed one.

    python -m tests.project.commands_page

writes that page anew, from the root of the checkout.
"""

import inspect
import re

import click

from tests.checkout import ROOT
from tests.project.names import Words, commands, root_command

PAGE = ROOT / "docs" / "commands.md"
ORDER = (
    *("prep", "inspect", "verify", "train", "eval", "predict", "export", "report", "runs", "doctor"),
    *("subset", "index", "recipes", "cache", "clean"),
)
"""Commands as one meets them."""
ELSEWHERE = {"clean": "tests/extras/cloud/test_writing.py"}
"""Commands whose examples need more than a folder, and the test that runs them."""
_HEAD = """\
# Commands

With `--help`, every command prints the same text and examples as this page.
SHARDS is a folder or [a URL](storage.md); a URL needs `pip install 'headrace[cloud]'`.
CHECKPOINT is a checkpoint file or a run folder; if it is a run folder, the file `best.pt` in it is used.

"""
_CODES = """
## Exit codes

| code | meaning |
|---|---|
| 0 | done |
| 1 | the run failed, or `doctor --min-ratio` was missed |
| 2 | wrong arguments or recipe, a missing file, or credentials that a storage refuses |
| 3 | damaged data, such as a shard, an index or a checkpoint; or images that `prep` or `predict` cannot decode |
| 129, 130, 143 | stopped by SIGHUP (a closed terminal), SIGINT (Ctrl-C) or SIGTERM; `train` saved a checkpoint first |

If you start a command with `torchrun`, torchrun exits with 1 whenever a rank fails, whatever the rank's exit code.
With `--nproc`, the command exits with the code of the first rank that failed.
"""


def page() -> str:
    """The whole page, Markdown."""
    all_of_them = sorted(commands(root_command()), key=lambda found: (ORDER.index(found[0][0]), found[0]))
    rows = "".join(
        f"| [`headrace {' '.join(path)}`](#{_anchor(path)}) | {_first(one)} |\n" for path, one in all_of_them
    )
    parts = [_HEAD, "| command | what it does |\n|---|---|\n", rows, *(_section(*found) for found in all_of_them)]
    return "".join(parts) + _CODES


def _anchor(path: Words) -> str:
    return "headrace-" + "-".join(path)


def _first(command: click.Command) -> str:
    """The first sentence of the help."""
    return _cell(re.split(r"(?<=\.)\s", inspect.cleandoc(command.help or ""), maxsplit=1)[0].removesuffix("."))


def _section(path: Words, command: click.Command) -> str:
    context = click.Context(command, info_name=" ".join(("headrace", *path)))
    usage = " ".join(part.strip() for part in command.get_usage(context).removeprefix("Usage: ").splitlines())
    text = inspect.cleandoc(command.help or "").replace("<", "\\<")
    options = [given for given in command.params if isinstance(given, click.Option)]
    rows = [f"| `{_cell(_names(one, context))}` | {_cell(_words(one, context))} |\n" for one in options]
    table = "\n| option | what it does |\n|---|---|\n" + "".join(rows) if rows else ""
    return f"\n## headrace {' '.join(path)}\n\n`{usage}`\n\n{text}\n{table}{_examples(path, command)}"


def _names(option: click.Option, context: click.Context) -> str:
    names = ", ".join(sorted((*option.opts, *option.secondary_opts), key=len, reverse=True))
    return names if option.is_flag else f"{names} {option.make_metavar(context)}"


def _words(option: click.Option, context: click.Context) -> str:
    """The help of an option, with its default and bounds in brackets, as click prints them."""
    record = option.get_help_record(context)
    return " ".join(record[1].split()).replace("  [", " [") if record else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "\\<") if "`" not in text else text.replace("|", "\\|")


def _examples(path: Words, command: click.Command) -> str:
    lines = [line.strip() for line in (command.epilog or "").splitlines() if line.strip().startswith("headrace ")]
    elsewhere = ELSEWHERE.get(path[0])
    mark = f"<!-- run by {elsewhere} -->\n" if elsewhere else ""
    return "\n{}```sh\n{}\n```\n".format(mark, "\n".join(lines)) if lines else ""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
