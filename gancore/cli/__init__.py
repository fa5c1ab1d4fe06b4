"""The command line: a thin skin over the library. One file a command."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
from contextlib import AbstractContextManager
from typing import Any

# Threads that wait must not spin: where other programs use the machine too, spinning made steps forty times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import click

from gancore.cli.bench import bench
from gancore.cli.checkpoint import checkpoint
from gancore.cli.choices import at_home, fix_unknown, unknown_variables
from gancore.cli.console import clean, complain, note, show_traceback
from gancore.cli.plugins import plugins
from gancore.cli.published import commands
from gancore.cli.recipes import recipes
from gancore.cli.run import run
from gancore.cli.sample import sample
from gancore.cli.sweep import sweep
from gancore.cli.verify_resume import verify_resume
from gancore.cli.words import meant_command, meant_option
from gancore.errors import GanError, PluginError, UsageError, spelt
from gancore.plugins import discovery, loading
from gancore.plugins.slots import hyphened
from gancore.process.standard_streams import keep_streams, silence

GRACE = 5.0  # seconds that what plugins left running may take to end, once we are done


class _Gan(click.Group):
    """The commands of this folder and those that installed distributions publish, imported when they are called."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Name them all, from metadata alone."""
        return sorted({*self.commands, *(row.name for row in commands().values() if row.status == "ok")})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a command; a published one as a stand-in that knows its summary and imports the rest when called."""
        name = spelt(name)
        published = commands().get(name)
        if name in self.commands or published is None:
            return super().get_command(context, name)
        return _Published(published)

    def resolve_command(
        self, context: click.Context, words: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Refuse an unknown command in our own words."""
        known = self.list_commands(context)
        if spelt(words[0]) not in known and not words[0].startswith("-"):
            raise UsageError(f"`gan` has no command {words[0]!r}", fix=meant_command(words[0], known))
        return super().resolve_command(context, words)


class _Published(click.Command):
    def __init__(self, row: discovery.Row) -> None:
        super().__init__(row.name, help=clean(row.summary))
        self.row = row

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        """Hand over to the command itself. Raises PluginError where its module is broken."""
        command = loading.load_object(self.row)
        if not isinstance(command, click.Command):
            what = f"{self.row.name} is {command!r}, no click command"
            raise PluginError(what, where=self.row.origin, fix="@click.command()")
        context = command.make_context(*args, **more)
        context.command = command
        return context

    def invoke(self, context: click.Context) -> Any:
        """Invoke the command itself."""
        return context.command.invoke(context)


@click.group(cls=_Gan, context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": hyphened})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="gancore", prog_name="gan")
def gan(debug: bool) -> None:
    """Compose a GAN from plugins, train it, sample from it."""
    for name in unknown_variables():
        note(f"the environment variable {name} is set, but gancore reads none of that name")


for command in (run, sweep, plugins, sample, recipes, checkpoint, verify_resume, bench):
    gan.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit 0 when done, 1 for a failed run, 2 for a usage error, 130 or 143 when interrupted."""
    if arguments is None:
        keep_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [at_home(word) for word in words if word != "--debug"]
    watched: AbstractContextManager[None] = contextlib.nullcontext()
    if debug:
        from gancore.guard.hooks import every_call_watched

        watched = every_call_watched()
    given = ["--debug", *words] if debug else words
    try:
        with watched:
            code = gan.main(args=words, prog_name="gan", standalone_mode=False, obj=given)
    except GanError as error:
        if error.unknown:
            error.fix = fix_unknown(error.unknown, error.fix)
        code = _report(error, error.exit_code, debug)
    except click.UsageError as error:
        code = _report(_in_our_words(error), 2, debug)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except BrokenPipeError:
        silence(sys.stdout)
        code = 0
    except OSError as error:
        if error.filename is None:
            silence(sys.stdout)  # a stdout that takes no more would change the exit code once more at the end
        too_long = error.errno == errno.ENAMETOOLONG  # only a name that was typed can be
        made = GanError(
            f"{error.strerror or error}",
            where=str(error.filename or ""),
            fix="give a shorter name" if too_long else "",
        )
        code = _report(made, 2 if too_long else 1, debug)
    except Exception as error:  # a fault of ours or of a component: say so without a page of traceback
        what = f"unexpected {type(error).__name__}: {error}"
        code = _report(GanError(what, fix="--debug shows the traceback"), 1, debug)
    code = code if isinstance(code, int) else 0
    if arguments is None:
        leave_soon(code)
    sys.exit(code)


def _in_our_words(error: click.UsageError) -> GanError:
    """Say what click refused, and where help is; of an unknown option, what was meant by it."""
    context = error.ctx
    path = context.command_path if context else "gan"
    if not isinstance(error, click.NoSuchOption) or context is None:
        return GanError(error.format_message(), fix=f"{path} --help")
    flags = [each.lstrip("-") for part in context.command.params for each in part.opts if each.startswith("--")]
    fix = meant_option(error.option_name.lstrip("-"), flags, {}) or f"{path} --help"
    return GanError(f"`{path}` has no option {error.option_name!r}", fix=fix)


def leave_soon(code: int) -> None:
    """See to it that the process ends, although a plugin's threads or processes may not."""

    def leave() -> None:
        left = [each.name for each in threading.enumerate() if not each.daemon and each is not threading.main_thread()]
        note(f"a plugin left {', '.join(left) or 'something'} running; it is ended")
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code)

    timer = threading.Timer(GRACE, leave)
    timer.daemon = True
    timer.start()


def _report(error: GanError, code: int, debug: bool) -> int:
    if debug:
        show_traceback()
    complain(error)
    return code
