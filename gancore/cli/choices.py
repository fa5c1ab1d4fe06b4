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
from gancore.errors import UsageError, did_you_mean, nearest
from gancore.plugins import discovery, inspection, loading
from gancore.plugins.component import options_of
from gancore.plugins.slots import filled_by, holds_several, hyphened
from gancore.recipe.options import Given, Text
from gancore.recipe.settings import Settings
from gancore.recipe.toml import Layer, put

ORIGIN = "command line"
# prefix of environment variables that a user may expect gancore to read
VARIABLE_PREFIX = "GAN_"
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")
PLAIN_FLAGS = (  # that choose nothing
    "recipe", "small", "compat", "out", "resume", "overwrite", "accept-changed-data",
    "stall-timeout", "nproc",
    "dry-run", "json", "help",
)  # fmt: skip


def at_home(word: str) -> str:
    """Expand `~` in `~/x` and `--flag=~/x`, where a shell leaves it as it is."""
    before, tilde, path = re.split("(~)", word, maxsplit=1) if "~" in word else (word, "", "")
    if not tilde or not (before == "" or before.endswith("=")) or path[:1] not in ("", "/", os.sep):
        return word
    return before + os.path.expanduser(tilde + path)


def once(context: click.Context, parameter: click.Parameter, values: Sequence[Any]) -> Any:
    """Return the value of a flag declared `multiple`, or None. Raises UsageError for two."""
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
    # nothing better is known
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
        for name in declared_options(row) if row.status == "ok" else ():
            found.setdefault(name, []).append(row)
    return found


def declared_options(row: discovery.Row) -> list[str]:
    """List the options that a component declares, read from its source without importing it."""
    module, _, attribute = row.object.partition(":")
    spec = inspection.spec_of(module)
    if not spec or not spec.origin:
        return []
    body = ast.parse(Path(spec.origin).read_bytes()).body
    classes = {node.name: node for node in body if isinstance(node, ast.ClassDef)}
    names = []
    while attribute in classes:
        node = classes.pop(attribute)
        names += [_option_name(field) for field in node.body]
        # a preset has those of its base
        attribute = ast.unparse(node.bases[0]) if node.bases else ""
    return [name for name in names if name]


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
        if value is None or value == ():
            continue
        if flag in settings:
            read = Text(value) if isinstance(value, str) else value
            options["run"][flag] = Given(read, f"--{flag} {value}")
        else:
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
    allowed = {table for table, options in words.options.items() if "download" in options}
    for table, options in recipe.items():
        if (
            isinstance(options, dict)
            and options.get("download") is True
            and not allowed & {table, "data"}
        ):
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


def path_as_data(layer: Layer) -> Layer:
    """Read `--data PATH` as the reader that fits what lies there, with that path.

    Raises UsageError for a path that is not there, and where no reader or more than one fits.
    """
    given = layer.slots.get("data")
    if given is None or not looks_like_path(given.value):
        return layer
    path = Path(os.path.expanduser(given.value)).resolve()
    if not os.path.exists(path):
        names = [row.name for row in discovery.installed() if row.kind == "data"]
        beside = (
            [entry.name for entry in path.parent.iterdir()] if os.path.isdir(path.parent) else []
        )
        near = did_you_mean(path.name, beside) or did_you_mean(given.value, names)
        fix = near or f"one of {', '.join(names)}, or a path"
        raise UsageError(f"there is no file or folder {given.value}", where=given.where, fix=fix)
    reader = find_reader(path, given.where)
    options = {
        **layer.options,
        reader: {"path": Given(str(path), given.where), **layer.options.get(reader, {})},
    }
    return Layer(layer.origin, {**layer.slots, "data": Given(reader, given.where)}, options)


def looks_like_path(name: str) -> bool:
    """Whether `--data` names a path rather than a component."""
    known = {row.name for row in discovery.installed() if row.kind == "data"}
    if name in known or not name or loading.is_file(name):
        return False
    return "/" in name or "\\" in name or name.startswith((".", "~")) or os.path.exists(name)


def find_reader(path: Path, where: str) -> str:
    """Ask every installed data component how well it fits a path; return the name of the best."""
    fits: dict[str, int] = {}
    readers: list[str] = []
    for row in discovery.installed():
        if row.kind != "data" or row.status != "ok":
            continue
        try:
            component = loading.load(row)()
            fit = component.recognizes(path) if hasattr(component, "recognizes") else None
        except Exception:  # a broken reader that was not chosen is no reason to stop
            continue
        if hasattr(component, "path"):
            readers.append(row.name)
        if fit:
            fits[row.name] = fit
    best = [name for name, fit in fits.items() if fit == max(fits.values())]
    if len(best) != 1:
        what = "nothing that a reader knows" if not best else f"what {' and '.join(best)} both read"
        fix = (
            f"--data {best[0]} --{best[0]}.path {path}"
            if best
            else f"--data NAME --NAME.path PATH; readers are {', '.join(readers)}"
        )
        if not best and path.is_file() and path.name.lower().endswith(ARCHIVES):
            what = "an archive"
            fix = "unpack it first, and give the folder"
        raise UsageError(f"{path} holds {what}", where=where, fix=fix)
    return best[0]
