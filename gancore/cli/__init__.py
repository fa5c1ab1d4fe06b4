"""The command line: a thin skin over the library. One file a command."""

from __future__ import annotations

import os
import sys
import traceback

import click

from gancore.cli.console import complain
from gancore.cli.plugins import plugins
from gancore.cli.recipes import recipes
from gancore.cli.run import run
from gancore.cli.sample import sample
from gancore.errors import GanError, did_you_mean


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="gancore", prog_name="gan")
def gan(debug: bool) -> None:
    """Compose a GAN from plugins, train it, sample from it."""


for command in (run, plugins, sample, recipes):
    gan.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit 0 when done, 1 for a failed run, 2 for a usage error, 130 or 143 when interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        code = gan.main(args=words, prog_name="gan", standalone_mode=False)
    except GanError as error:
        code = _report(error, error.exit_code, debug)
    except click.UsageError as error:
        mend = did_you_mean(error.args[0], gan.commands) if error.args and error.ctx and error.ctx.command is gan else ""
        code = _report(GanError(error.format_message(), mend=mend or "gan --help"), 2, debug)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _report(error: GanError, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    complain(error)
    return code
