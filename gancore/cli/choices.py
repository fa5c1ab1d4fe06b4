"""Read a command line into a layer of choices: slots, settings, `--component.option value`."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import click

from gancore.cli.words import meant_argument, meant_option
from gancore.errors import UsageError, nearest
from gancore.plugins import discovery, inspection
from gancore.plugins.component import options_of
from gancore.plugins.slots import filled_by, holds_several, hyphened
from gancore.recipe.data_path import path_as_data
from gancore.recipe.options import Given, Text
from gancore.recipe.settings import Settings
from gancore.recipe.toml import Layer, put

ORIGIN = "command line"
# prefix of environment variables that a user may expect gancore to read
VARIABLE_PREFIX = "GAN_"
PLAIN_FLAGS = (  # that choose nothing
    "recipe", "small", "compat", "out", "resume", "overwrite", "accept-changed-data",
    "stall-timeout", "minutes", "nproc",
    "dry-run", "json", "help",
)  # fmt: skip


def at_home(word: str) -> str:
    """Expand `~` in `~/x` and `--flag=~/x`, where a shell leaves it as it is."""
    before, tilde, path = word.partition("~")
    begins = not before or before.endswith("=")
    # `~x` may as well be the name of a file, e.g. a backup
    alone = path[:1] in ("", "/", os.sep)
    if not tilde or not begins or not alone:
        return word
    return before + os.path.expanduser(tilde + path)


def once(context: click.Context, parameter: click.Parameter, values: Sequence[Any]) -> Any:
    """Return the value of a flag declared `multiple`, or None. Raises UsageError for two."""
    # click alone takes the last of two values without a word
    if len(values) > 1:
        flag = parameter.opts[0]
        raise UsageError(
            f"{flag} is given twice",
            where=" ".join(f"{flag} {each}" for each in values),
            fix=f"give {flag} once",
        )
    return values[0] if values else None


def unknown_variables() -> list[str]:
    """List environment variables that look as if they were meant for gancore, which reads none."""
    return sorted(name for name in os.environ if name.startswith(VARIABLE_PREFIX))


def fix_unknown(option: str, fix: str) -> str:
    """Return how to fix an option that its owner does not have: which component has it, else `fix`.

    Options of other components are looked up in their sources. The same name elsewhere comes before
    a similar one of the owner, and that before a similar one elsewhere.
    """
    if option in options_of(Settings):
        return f"{option} is a setting of the run: --{option} VALUE, or [run] in a recipe"
    found = owners_of_options()
    similar = nearest(option, found)
    # such a fix only lists what there is, so a similar name elsewhere says more
    lists = fix.startswith(("one of ", "it has ")) or fix.endswith("--help")
    if len(similar) != 1 or (similar[0] != option and not lists):
        return fix
    name = similar[0]
    rows = found[name]
    if len(rows) > 1:
        owners = ", ".join(row.name for row in rows)
        return f"{name} belongs to {owners}: choose one, then --NAME.{name} VALUE"
    kind = rows[0].kind
    owner = rows[0].name
    return f"{name} belongs to {owner}: --{kind} {owner} chooses it, --{owner}.{name} VALUE sets it"


@cache
def owners_of_options() -> dict[str, list[discovery.Row]]:
    """List the components that declare an option of a name, by that name."""
    found: dict[str, list[discovery.Row]] = {}
    for row in discovery.installed():
        if row.status != "ok":
            continue
        for name in declared_options(row):
            found.setdefault(name, []).append(row)
    return found


def declared_options(row: discovery.Row) -> list[str]:
    """List the options that a component declares, read from its source without importing it."""
    module, _, attribute = row.object.partition(":")
    spec = inspection.spec_of(module)
    if not spec or not spec.origin:
        return []
    classes = {}
    for node in ast.parse(Path(spec.origin).read_bytes()).body:
        if isinstance(node, ast.ClassDef):
            classes[node.name] = node
    names: list[str] = []
    while attribute in classes:
        # taken out, so that classes which name each other as their base end the loop
        node = classes.pop(attribute)
        names += filter(None, map(_option_name, node.body))
        # a preset has those of its base
        attribute = ast.unparse(node.bases[0]) if node.bases else ""
    return names


def _option_name(node: ast.stmt) -> str:
    """Return the name of the option that a statement declares, or nothing."""
    if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
        return ""
    if not isinstance(node.value, ast.Call) or ast.unparse(node.value.func) != "option":
        return ""
    return node.target.id.replace("_", "-")


def layer_of_words(
    given: Mapping[str, Any],
    extra: Sequence[str],
    flags: Sequence[str] = PLAIN_FLAGS,
    command: str = "gan run",
) -> Layer:
    """Build the command line's layer from parsed flags and the words that no flag took.

    Raises UsageError for a word that is no `--component.option value`, or an option given twice.
    """
    slots: dict[str, Given] = {}
    options: dict[str, dict[str, Given]] = {"run": {}}
    settings = options_of(Settings)
    for name, value in given.items():
        flag = hyphened(name)
        # what click passes for a flag that was not given: () for one that may be repeated
        if value is None or value == ():
            continue
        if flag in settings:
            # a bare `Text` is converted to the setting's type later; a flag without value is a bool
            read = Text(value) if isinstance(value, str) else value
            options["run"][flag] = Given(read, f"--{flag} {value}")
            continue
        chosen = list(value) if holds_several(flag) else value
        typed = ", ".join(value) if holds_several(flag) else value
        for slot in filled_by(flag):
            slots[slot] = Given(chosen, f"--{flag} {typed}")
    for table, name, value in split_words(extra, [*given, *flags], command):
        given_now = Given(Text(value), f"--{table}.{name} {value}")
        put(options.setdefault(hyphened(table), {}), f"--{hyphened(table)}.", name, given_now)
    layer = path_as_data(Layer(ORIGIN, slots, options))
    for values in (layer.slots, *layer.options.values()):
        for each in values.values():
            _refuse_undecodable(each)
    return layer


def _refuse_undecodable(given: Given) -> None:
    """Raise UsageError for lone surrogates, which stand for bytes that are no UTF-8."""
    if re.search("[\ud800-\udfff]", str(given.value)):
        fix = "rename it: what is chosen is written into a recipe"
        raise UsageError("bytes that are no UTF-8 cannot be kept", where=given.where, fix=fix)


def refuse_downloads(recipe: Mapping[str, Any], words: Layer) -> None:
    """Raise UsageError where a recipe, not the command line, lets a component use the network."""
    # what the command line says has won over the recipe: a download is then the user's own wish
    own = {table for table, options in words.options.items() if "download" in options}
    if "data" in own:  # `--data.download` is the option of the data set, whatever its name
        return
    for table, options in recipe.items():
        if table in own or not isinstance(options, dict):
            continue
        if options.get("download") is True:
            what = f"the recipe has {table} fetch its files from the network"
            raise UsageError(
                what, where=f"{table}.download", fix=f"--{table}.download true, if that is wanted"
            )


def split_words(
    words: Sequence[str], flags: Sequence[str], command: str = "gan run"
) -> Iterator[tuple[str, str, str]]:
    """Yield (component, option, value) for `--component.option value`, `--component.option=value`.

    An option without a value counts as `true`. Raises UsageError for anything else.
    """
    queue = list(words)
    while queue:
        word = queue.pop(0)
        flag, equals, value = word.removeprefix("--").partition("=")
        table, dot, name = flag.partition(".")
        if not word.startswith("--") or not dot or not table or not name:
            raise unknown_word(word, flags, command)
        if not equals:
            value = queue.pop(0) if queue and not queue[0].startswith("--") else "true"
        yield table, name, value


def unknown_word(word: str, flags: Sequence[str], command: str) -> UsageError:
    """Make the error for a word that means nothing."""
    if not word.startswith("-"):
        fix = meant_argument(word) or f"{command} --help"
        return UsageError(f"`{command}` has no argument {word!r}", where=ORIGIN, fix=fix)
    name = word.partition("=")[0].lstrip("-")
    fix = meant_option(name, flags, owners_of_options()) or f"{command} --help"
    return UsageError(f"`{command}` has no option {word!r}", where=ORIGIN, fix=fix, unknown=name)
