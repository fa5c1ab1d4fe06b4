"""Declares the flags that several commands share: slots, settings, variants of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from gancore.cli.choices import once
from gancore.plugins.component import Option, options_of
from gancore.plugins.slots import SLOTS, Slot
from gancore.recipe.options import show
from gancore.recipe.settings import Settings

VARIANT_HELP = {
    "small": "With --recipe: the version that a laptop trains in minutes.",
    "compat": "With --recipe: the version that follows its source, including its mistakes.",
}

Command = TypeVar("Command", bound=Callable[..., Any])

FOLDER = click.Path(path_type=Path)
json_flag = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON on stdout."
)
recipe_flag = click.option(
    "--recipe",
    metavar="NAME|FILE",
    multiple=True,
    callback=once,
    help="Start from a recipe; other flags override it.",
)
plugin_files_flag = click.option(
    "--plugin",
    "files",
    metavar="./FILE.py",
    multiple=True,
    help="Allow this component file of the run to be executed. Repeatable.",
)
# `--component.option value` words, which click cannot know; `layer_of_words` reads them
component_options = click.argument(
    "extra", metavar="[--COMPONENT.OPTION VALUE]...", nargs=-1, type=click.UNPROCESSED
)


def folder_flag(name: str, help_text: str) -> Callable[[Command], Command]:
    """Decorate a command with a flag for a folder, which may be given once."""
    return click.option(
        name, metavar="DIR", type=FOLDER, multiple=True, callback=once, help=help_text
    )


class SettingFlag(click.Option):
    """A flag of a setting. Its help shows the value of the default recipe, if that sets one."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the flag and its help."""
        # only when help is asked for: this reads the file of the default recipe
        from gancore.recipe.compose import layers_below

        name = self.opts[0].removeprefix("--")
        for layer in layers_below([]):
            if given := layer.options.get("run", {}).get(name):
                self.help = setting_help(options_of(Settings)[name].help, given.value)
        return super().get_help_record(ctx)


def setting_help(text: str, default: Any) -> str:
    """Return the help of a setting as a sentence, followed by its default."""
    return f"{text[0].upper()}{text[1:]}. [{show(default)}]"


def composition_flags(leave_out: Sequence[str] = ()) -> Callable[[Command], Command]:
    """Decorate a command with a flag for each slot and each setting, except `leave_out`."""
    flags = [_slot_flag(slot) for slot in SLOTS.values()]
    for name, option in options_of(Settings).items():
        if name not in leave_out:
            flags.append(_setting_flag(name, option))

    def decorate(command: Command) -> Command:
        for flag in reversed(flags):  # click lists the decorator that is applied last first
            command = flag(command)
        return command

    return decorate


def _slot_flag(slot: Slot) -> Callable[[Command], Command]:
    callback = None if slot.several else once
    return click.option(
        f"--{slot.name}", metavar="NAME", multiple=True, callback=callback, help=slot.help
    )


def _setting_flag(name: str, option: Option) -> Callable[[Command], Command]:
    if option.type is bool:
        text = f"{option.help[0].upper()}{option.help[1:]}."
        # None rather than False for a flag that is not given, which must not override a recipe
        return click.option(f"--{name}", is_flag=True, default=None, help=text)
    return click.option(
        f"--{name}",
        cls=SettingFlag,
        metavar=_metavar_of(option),
        multiple=True,
        callback=once,
        help=setting_help(option.help, option.default),
    )


def _metavar_of(option: Option) -> str:
    if option.choices:
        return "|".join(map(str, option.choices))
    return "N" if option.type is int else "TEXT"


def variant_flags(command: Command) -> Command:
    """Decorate a command with a flag for each variant of a recipe."""
    for name, text in reversed(VARIANT_HELP.items()):
        command = click.option(f"--{name}", is_flag=True, help=text)(command)
    return command


def variants_of(**given: bool) -> list[str]:
    """Return the names of the variants whose flags were given."""
    return [name for name, is_given in given.items() if is_given]


def flag_names() -> list[str]:
    """Return the names of all flags of the command that is running, without their hyphens."""
    context = click.get_current_context()
    names = []
    for parameter in context.command.get_params(context):
        names += [each.removeprefix("--") for each in parameter.opts if each.startswith("--")]
    return names
