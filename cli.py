"""The `headrace` command: assembles the commands of `commands/`, and turns errors into messages and exit codes."""

import json
import sys
from typing import Any

import click

from headrace.commands.cache import cache_command
from headrace.commands.clean import clean_command
from headrace.commands.doctor import doctor_command
from headrace.commands.eval import eval_command
from headrace.commands.examples import examples
from headrace.commands.export import export_command
from headrace.commands.index import index_command
from headrace.commands.inspect import inspect_command
from headrace.commands.predict import predict_command
from headrace.commands.prep import prep_command
from headrace.commands.recipes import recipes_command
from headrace.commands.report import report_command
from headrace.commands.runs import runs_command
from headrace.commands.subset import subset_command
from headrace.commands.train import train_command
from headrace.commands.verify import verify_command
from headrace.shards.ending import REPORT, expected, lines_of
from headrace.shards.open_files import allow_many
from headrace.shards.streams import make_lasting, print_result, say, say_all
from headrace.shards.version import running_version

_INTERRUPTED = 130


def _reported(error: Exception) -> Exception:
    """Add a note to an unexpected error, and return the error.

    Python prints the note, which says where to report the error, below the traceback.
    """
    error.add_note(REPORT)
    return error


class Commands(click.Group):
    """A group of commands that lists them in alphabetical order and turns errors into messages and exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in alphabetical order."""
        return sorted(super().list_commands(ctx))

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line.

        If the reader of an output pipe closes the pipe, the rest of the output is lost, but the exit code does not
        change.
        """
        make_lasting()
        allow_many()
        return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. If it raises an error that a user can act on, print the error as one line.

        The environment variable HEADRACE_DEBUG=1 adds the traceback.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            say("headrace: interrupted", error=True)
            sys.exit(_INTERRUPTED)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except EOFError as error:  # click would print "Aborted!", as if the user had ended the input
            raise _reported(RuntimeError("a file or pipe ended where Headrace expected more data")) from error
        except Exception as error:
            known = expected(error)
            if known is None:
                _reported(error)
                raise
            say_all(lines_of(known), error=True)
            sys.exit(known.exit_code)


@click.group(
    cls=Commands,
    invoke_without_command=True,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "headrace prep photographs shards/mine --val-fraction 0.2",
        "headrace train shards/mine --out runs/mine",
        "headrace eval runs/mine shards/mine",
    ),
)
@click.option("--version", is_flag=True, help="Show the version and exit.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="With --version: print facts about this installation, to include in an error report.",
)
@click.pass_context
def main(context: click.Context, version: bool, as_json: bool) -> None:
    """Make shard sets (images packed into tars, with indexes), check them, and train image classifiers on them."""
    if as_json and not version:
        raise click.UsageError(
            "--json before a command's name works only with --version. To get the command's output as JSON, put --json "
            "after the name"
        )
    if not version:
        if context.invoked_subcommand is None:
            raise click.UsageError("Missing command.")
        return
    if as_json:
        from headrace.train.record.installation import about  # noqa: PLC0415  no command needs it

        print_result(json.dumps(about(), indent=1))
    else:
        print_result(f"headrace, version {running_version()}")
    context.exit()


for command in (
    cache_command,
    clean_command,
    doctor_command,
    eval_command,
    export_command,
    index_command,
    inspect_command,
    predict_command,
    prep_command,
    recipes_command,
    report_command,
    runs_command,
    subset_command,
    train_command,
    verify_command,
):
    main.add_command(command)


if __name__ == "__main__":
    main()
