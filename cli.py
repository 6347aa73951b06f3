"""The `headrace` command: how errors become lines and exit codes. `commands/` has the commands."""

import sys
from typing import Any

import click

from headrace.commands.doctor import doctor_command
from headrace.commands.eval import eval_command
from headrace.commands.export import export_command
from headrace.commands.index import index_command
from headrace.commands.inspect import inspect_command
from headrace.commands.predict import predict_command
from headrace.commands.prep import prep_command
from headrace.commands.recipes import recipes_command
from headrace.commands.report import report_command
from headrace.commands.runs import runs_command
from headrace.commands.train import train_command
from headrace.commands.verify import verify_command
from headrace.shards.ending import REPORT, expected, lines_of
from headrace.shards.open_files import allow_many
from headrace.shards.streams import make_lasting, say, say_all
from headrace.shards.version import running_version

_INTERRUPTED = 130


def _reported(error: Exception) -> Exception:
    """The error, whose traceback ends with where to report it."""
    error.add_note(REPORT)
    return error


class Commands(click.Group):
    """A group that lists its commands sorted and turns errors into one clear line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in alphabetical order."""
        return sorted(super().list_commands(ctx))

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line. What is printed to where nobody reads is lost; the work and its exit code are not."""
        make_lasting()
        allow_many()
        return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. HEADRACE_DEBUG=1 shows the traceback of an expected error too, with its causes."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            say("headrace: interrupted", error=True)
            sys.exit(_INTERRUPTED)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except EOFError as error:  # click's word for it is "Aborted!", as if the user had ended the input
            raise _reported(RuntimeError("a file or pipe ended where nobody expected it")) from error
        except Exception as error:
            known = expected(error)
            if known is None:
                _reported(error)
                raise
            say_all(lines_of(known), error=True)
            sys.exit(known.exit_code)


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print the version where it is wanted, and end."""
    if wanted and not ctx.resilient_parsing:
        click.echo(f"headrace, version {running_version()}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Bring images to the accelerator at full flow: make shard sets, check them, and train on them."""


for command in (
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
    train_command,
    verify_command,
):
    main.add_command(command)


if __name__ == "__main__":
    main()
