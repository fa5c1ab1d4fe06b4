"""The command line: a thin layer over the library, with one file per command."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
from contextlib import AbstractContextManager
from typing import Any

# Before torch is imported: its threads must not spin while they wait. On a machine that is shared
# with other programs, spinning made steps forty times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import click

from gancore.cli.bench import bench_command
from gancore.cli.checkpoint import checkpoint
from gancore.cli.choices import at_home, fix_unknown, unknown_variables
from gancore.cli.console import clean, complain, note, show_traceback
from gancore.cli.plugins import plugins
from gancore.cli.published import commands
from gancore.cli.recipes import recipes
from gancore.cli.run import run
from gancore.cli.sample import sample
from gancore.cli.study import study
from gancore.cli.sweep import sweep
from gancore.cli.verify_resume import verify_resume
from gancore.cli.words import meant_command, meant_option
from gancore.errors import GanError, PluginError, UsageError, spelt
from gancore.plugins import discovery, loading
from gancore.plugins.slots import hyphened
from gancore.process.standard_streams import keep_streams, silence

EXIT_TIMEOUT = 5.0  # seconds that threads left by plugins have to end after the command


class _Gan(click.Group):
    """The commands of this package, and those of plugins, which are imported when called."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of all commands, without importing any plugin."""
        published = [row.name for row in commands().values() if row.status == "ok"]
        return sorted({*self.commands, *published})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a command; for a published one a stand-in that imports it when it is called."""
        name = spelt(name)
        published = commands().get(name)
        if name in self.commands or published is None:
            return super().get_command(context, name)
        return _Published(published)

    def resolve_command(
        self, context: click.Context, words: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Raise UsageError with a suggestion for an unknown command."""
        known = self.list_commands(context)
        if spelt(words[0]) not in known and not words[0].startswith("-"):
            raise UsageError(
                f"`gan` has no command {words[0]!r}", fix=meant_command(words[0], known)
            )
        return super().resolve_command(context, words)


class _Published(click.Command):
    """Stand-in for a published command: its name and summary come from the plugin's metadata."""

    def __init__(self, row: discovery.Row) -> None:
        super().__init__(row.name, help=clean(row.summary))
        self.row = row

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        """Import the command and return its context. Raises PluginError if its module is broken."""
        command = loading.load_object(self.row)
        if not isinstance(command, click.Command):
            what = f"{self.row.name} is {command!r}, not a click command"
            raise PluginError(what, where=self.row.origin, fix="@click.command()")
        context = command.make_context(*args, **more)
        # click calls `invoke` of this stand-in with the context, which finds the command there
        context.command = command
        return context

    def invoke(self, context: click.Context) -> Any:
        """Invoke the imported command."""
        return context.command.invoke(context)


@click.group(
    cls=_Gan,
    context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": hyphened},
)
@click.option(
    "--debug", is_flag=True, help="Show tracebacks, and check every call of every plugin (slow)."
)
@click.version_option(package_name="gancore", prog_name="gan")
def gan(debug: bool) -> None:
    """Compose a GAN from plugins, train it, sample from it."""
    for name in unknown_variables():
        note(f"the environment variable {name} is set, but gancore does not read it")


for command in (
    run,
    sweep,
    study,
    plugins,
    sample,
    recipes,
    checkpoint,
    verify_resume,
    bench_command,
):
    gan.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit.

    The exit code is 0 for success, 1 for a failure, 2 for a usage error, 130 after Ctrl-C and 143
    after SIGTERM.
    """
    # given words come from Python, whose streams and threads are none of ours
    if arguments is None:
        keep_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    while "--debug" in words:  # anywhere, also after the command, where click would not know it
        words.remove("--debug")
    words = list(map(at_home, words))
    # for `--nproc`, which starts processes with the same words
    given = ["--debug", *words] if debug else words
    try:
        with _watching(debug):
            # None from most commands, and the exit code of `--help`
            returned = gan.main(args=words, prog_name="gan", standalone_mode=False, obj=given)
        code = returned if isinstance(returned, int) else 0
    except (Exception, KeyboardInterrupt) as error:
        code = report_error(error, debug)
    if arguments is None:
        leave_soon(code)
    sys.exit(code)


def _watching(debug: bool) -> AbstractContextManager[None]:
    """With --debug, check every call of every component; otherwise the first few alone."""
    if not debug:
        return contextlib.nullcontext()
    from gancore.guard.hooks import every_call_watched  # imports torch

    return every_call_watched()


def report_error(error: BaseException, debug: bool) -> int:
    """Say what ended a command, where there is anything to say, and return its exit code."""
    if isinstance(error, GanError):
        if error.unknown:
            error.fix = fix_unknown(error.unknown, error.fix)
        return _report(error, error.exit_code, debug)
    if isinstance(error, click.UsageError):
        return _report(_in_our_words(error), 2, debug)
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return 130
    if isinstance(error, BrokenPipeError):  # as under `| head`, which has read enough
        silence(sys.stdout)
        return 0
    if isinstance(error, OSError):
        if error.filename is None:
            silence(sys.stdout)  # stdout is broken: flushing it at exit would change the exit code
        too_long = error.errno == errno.ENAMETOOLONG  # such a name comes from the command line
        made = GanError(
            f"{error.strerror or error}",
            where=str(error.filename or ""),
            fix="give a shorter name" if too_long else "",
        )
        return _report(made, 2 if too_long else 1, debug)
    # a bug of gancore or of a plugin
    what = f"unexpected {type(error).__name__}: {error}"
    return _report(GanError(what, fix="--debug shows the traceback"), 1, debug)


def _in_our_words(error: click.UsageError) -> GanError:
    """Return click's error as one of ours, with a suggestion for an unknown option."""
    context = error.ctx
    path = context.command_path if context else "gan"
    if not isinstance(error, click.NoSuchOption) or context is None:
        return GanError(error.format_message(), fix=f"{path} --help")
    flags = []
    for parameter in context.command.params:
        # neither `-n` nor the name of an argument
        flags += [each.removeprefix("--") for each in parameter.opts if each.startswith("--")]
    fix = meant_option(error.option_name.lstrip("-"), flags, {}) or f"{path} --help"
    return GanError(f"`{path}` has no option {error.option_name!r}", fix=fix)


def leave_soon(code: int) -> None:
    """End the process soon even if threads or processes of a plugin do not end."""

    def leave() -> None:
        threads = [each for each in threading.enumerate() if not each.daemon]
        names = [each.name for each in threads if each is not threading.main_thread()]
        note(f"a plugin left {', '.join(names) or 'something'} running; it is ended")
        # os._exit flushes nothing
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code)

    timer = threading.Timer(EXIT_TIMEOUT, leave)
    timer.daemon = True  # so that it delays no process that ends by itself
    timer.start()


def _report(error: GanError, code: int, debug: bool) -> int:
    if debug:
        show_traceback()
    complain(error)
    return code
