"""Resolve layers of choices into one composition: choose, order, check, freeze."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from attrs import asdict, evolve, field, frozen

from gancore.errors import CompositionError, UsageError, did_you_mean
from gancore.plugins import discovery, loading
from gancore.plugins.calling import Component, Hooks
from gancore.plugins.component import Option, info_of, options_of
from gancore.plugins.slots import (
    BOTH,
    RESERVED,
    SEVERAL,
    SHORT_FORMS,
    SINGLE,
    SLOTS,
    WITHOUT,
    hyphened,
)
from gancore.recipe import lookup
from gancore.recipe.options import Given, read_options
from gancore.recipe.rules import TAGS_OF_DATA, check_rules
from gancore.recipe.settings import Settings
from gancore.recipe.toml import RECIPE_FORMAT, Layer, layer_of

DEFAULT = "default"  # the recipe that fills the slots which the command line leaves open
BASE = "base"  # that which fills those of recipes: it never changes, so they keep their meaning
OF_THE_DATA = "data."  # tags that are known only once the data is open


@frozen
class Choice:
    """One name in one slot, before it is loaded."""

    slot: str
    kind: str
    roles: frozenset[str]
    name: str
    where: str

    @property
    def alias(self) -> str:
        """The name before `=` in `again=my-trick`, or nothing."""
        return self.name.partition("=")[0] if "=" in self.name else ""

    @property
    def wanted(self) -> str:
        """The component's own name, or its file."""
        return self.name.rpartition("=")[2]


@frozen
class Loaded:
    """A component class and where it comes from."""

    name: str
    cls: type
    distribution: str = ""
    version: str = ""


# the hooks by which a component changes what is sampled
SAMPLING = ("sampling_generator", "select_samples")


@frozen(eq=False)
class Composition:
    """The components of a run in calling order, its settings, and the origin of each choice.

    - `chosen`: the components, each with its `name`, its `kind`, and the object as `component`.
    - `settings`: the settings of the run.
    - `slots`: the names that were chosen for each slot.
    - `origins`: where each slot, option and setting was given, by slot or by `TABLE.OPTION`.
    - `notes`: sentences about unusual pairs of components, to show before the run.

    Internal: `hooks`; `fitted_tags`, the tags of data for which its recipes make choices of their
    own; `resolve_for`, which composes again for data with such tags.
    """

    chosen: tuple[Component, ...]
    settings: Settings
    slots: Mapping[str, tuple[str, ...]]
    origins: Mapping[str, str]
    notes: tuple[str, ...]
    hooks: Hooks = field(repr=False)
    fitted_tags: frozenset[str] = field(default=frozenset(), repr=False)
    resolve_for: Callable[..., Composition] | None = field(default=None, repr=False)

    def recipe(self) -> dict[str, Any]:
        """Return the resolved recipe: every slot, every setting, every option, ready for TOML."""
        recipe: dict[str, Any] = {"format": RECIPE_FORMAT}
        # slots before tables: in TOML, a key below a table's header would belong to that table
        for slot, names in self.slots.items():
            recipe[slot] = names[0] if slot in SINGLE else list(names)
        recipe["run"] = plain(asdict(self.settings))
        for each in self.chosen:
            values = option_values(each)
            if values:
                recipe[each.name] = values
        return recipe

    def sampled_by(self) -> tuple[str, ...]:
        """Describe the components that change what is sampled, each with its options.

        For example `my-trick (bound 0.5)`. They implement `sampling_generator` or `select_samples`;
        whatever is reported of samples holds for these.
        """
        found = []
        for each in self.chosen:
            if any(hasattr(each.component, hook) for hook in SAMPLING):
                values = option_values(each)
                options = ", ".join(f"{name} {value}" for name, value in values.items())
                found.append(f"{each.name} ({options})" if options else each.name)
        return tuple(found)

    def check(self, tags: Iterable[str]) -> tuple[str, ...]:
        """Check the rules about the data, now that its tags are known; return notes.

        Raises CompositionError for a broken rule, unless the run is forced.
        """
        return check_rules(
            self.chosen, tags, self.settings.force, lambda tag: tag.startswith(OF_THE_DATA)
        )


def compose(
    *,
    recipe: str | Path | None = None,
    variants: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    **slots: str | Sequence[str],
) -> Composition:
    """Compose a run in Python as `gan run` does: `compose(gen="painter", reg=["my-trick"])`.

    Slots are spelled with underscores (`critic_norm`). `variants` of the recipe are `small` and
    `compat`. The keys of `options` are `component.option`, e.g. `{"my-trick.weight": 0.2}`;
    `settings` are those of `gancore.Settings`. Raises UsageError for a choice that does not exist,
    CompositionError for components that cannot be combined.
    """
    refuse_unknown_slots(slots)
    chosen = plain_names(slots)
    for name, value in chosen.items():
        if isinstance(value, tuple):
            # a layer holds what TOML has, which is lists
            chosen[name] = list(value)
    tables: dict[str, dict[str, Any]] = {"run": plain_names(settings or {})}
    for address, value in (options or {}).items():
        table, _, name = address.rpartition(".")
        tables.setdefault(table, {})[name] = value
    own = layer_of("compose()", chosen)
    own = evolve(own, options=layer_of("compose()", tables).options)
    layers = recipe_layers(str(recipe), variants) if recipe is not None else []
    return resolve([*layers, own], may_run(own))


def refuse_unknown_slots(names: Iterable[str]) -> None:
    """Raise UsageError for a keyword of `compose` that is no slot."""
    for name in names:
        word = hyphened(name)
        if word in SLOTS:
            continue
        spelled = [slot.replace("-", "_") for slot in SLOTS]
        fix = f'settings={{"{word}": …}}' if word in options_of(Settings) else ""
        fix = fix or did_you_mean(name, spelled) or discovery.meant(word, guess=False)
        fix = fix or f"one of {', '.join(spelled)}"
        raise UsageError(f"compose() has no slot {name!r}", where=f"compose({name}=…)", fix=fix)


def plain_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Spell names in kebab-case."""
    return {name.replace("_", "-"): value for name, value in values.items()}


def may_run(layer: Layer) -> Callable[[str], bool]:
    """Return the test for component files: those that a layer of the user's own names may run."""
    files = [name for name in layer.all_names() if loading.is_file(name)]
    named = {loading.split_file(name)[0] for name in files}
    return lambda name: loading.split_file(name)[0] in named


def recipe_layers(given: str, variants: Iterable[str] = ()) -> list[Layer]:
    """List the layers of a recipe: those it extends first, those of its variants last."""
    chain = lookup.recipe_chain(given)
    layers = [each.layer for each in chain]
    for variant in variants:
        found = [each.variants[variant] for each in chain if variant in each.variants]
        if not found:
            fix = "leave it out; `gan recipes` says which have one"
            raise UsageError(
                f"recipe {given} has no [{variant}] table", where=f"--{variant}", fix=fix
            )
        layers += found
    return layers


def layers_below(user: Iterable[Layer]) -> list[Layer]:
    """List the layers of the recipe on which the user's lie, where it is installed.

    It is the one called `base` if any layer is a recipe's, else that called `default`; a recipe
    that extends `default` lies on that.
    """
    user = list(user)
    default = layers_where_installed(DEFAULT)
    if any(layer.of_recipe for layer in user) and not any(each in user for each in default[-1:]):
        return layers_where_installed(BASE)
    return default


def layers_where_installed(name: str) -> list[Layer]:
    """List the layers of a recipe by its name; none where it is not installed."""
    return recipe_layers(name) if name in lookup.recipe_files() else []


def resolve(
    given: Sequence[Layer],
    files: Callable[[str], bool] = lambda name: True,
    *,
    exact: bool = False,
    tags: Collection[str] = (),
) -> Composition:
    """Resolve layers, lowest first, into a composition.

    Below the user's layers `given`, a recipe and the command line, lie those of `layers_below` and
    the defaults of the chosen components. `files` returns whether a component file may be run.
    With `exact` there are no layers below: a resolved recipe is complete. `tags` are those of the
    data, for which recipes may make choices. Raises UsageError and CompositionError.
    """
    base = [] if exact else layers_below(given)
    # `--recipe base` asks for that recipe below the defaults of components, not above them
    user = [layer for layer in given if layer not in base]

    def around(defaults: Sequence[Layer]) -> list[Layer]:
        return with_choices_for(tags, [*base, *defaults, *user])

    if exact:
        layers = around([])
        picks, found = choose(layers, files)
    else:
        layers, picks, found = settle(around, files)
    dropped = dropped_names(layers, exact)
    settings, run_origins = read_settings(layers)
    chosen, origins, read = instantiate(picks, found, layers, settings)
    refuse_unread_options(layers, user, read)
    notes = check_rules(chosen, (), settings.force, lambda tag: not tag.startswith(OF_THE_DATA))
    slots: dict[str, tuple[str, ...]] = {}
    for each in picks:
        slots[each.slot] = (*slots.get(each.slot, ()), each.name)
    if dropped:
        slots[WITHOUT] = dropped
    taken = {each.slot: each.where for each in picks}
    hooks = Hooks(chosen)
    fitted_tags: set[str] = set()
    for layer in layers:
        fitted_tags.update(layer.when)
    return Composition(
        chosen=chosen,
        settings=settings,
        slots=slots,
        origins={**taken, **origins, **run_origins},
        notes=(*notes, *hooks.deprecated()),
        hooks=hooks,
        fitted_tags=frozenset(fitted_tags),
        resolve_for=partial(resolve, given, files, exact=exact),
    )


def settle(
    around: Callable[[Sequence[Layer]], list[Layer]], files: Callable[[str], bool]
) -> tuple[list[Layer], list[Choice], dict[str, Loaded]]:
    """Choose until the defaults of the chosen components choose nothing else.

    `around` lists all layers, given those of defaults. Raises CompositionError for a circle.
    """
    defaults: list[Layer] = []
    for _ in range(10):  # a default may choose a component that has defaults of its own
        layers = around(defaults)
        picks, found = choose(layers, files)
        now = defaults_of(list(found.values()))
        # what a layer of defaults holds follows from its origin: the component, and the tag
        if [layer.origin for layer in now] == [layer.origin for layer in defaults]:
            return layers, picks, found
        defaults = now
    raise CompositionError(
        f"defaults of components choose each other in a circle: {', '.join(found)}",
        fix="choose the slots yourself",
    )


def choose(
    layers: Sequence[Layer], files: Callable[[str], bool]
) -> tuple[list[Choice], dict[str, Loaded]]:
    """Fill the slots by layers, and load what was chosen, by name."""
    picks = pick(layers)
    # every name, before any module is imported
    rows = [locate(each, files) for each in picks]
    found: dict[str, Loaded] = {}
    for each, row in zip(picks, rows, strict=True):
        found[each.name] = load_choice(each, row)
    return picks, found


def with_choices_for(tags: Collection[str], layers: Sequence[Layer]) -> list[Layer]:
    """List layers, each followed by what it chooses for data with these tags."""
    expanded = []
    for layer in layers:
        expanded.append(layer)
        expanded += [chosen for tag, chosen in layer.when.items() if tag in tags]
    return expanded


def defaults_of(found: Sequence[Loaded]) -> list[Layer]:
    """List the defaults of components in calling order, then those beside a tag, which so win."""
    tags: set[str] = set()
    for each in found:
        tags |= info_of(each.cls).provides
    layers = [layer_of(f"default of {each.name}", info_of(each.cls).defaults) for each in found]
    for each in found:
        for tag, choices in info_of(each.cls).defaults_with.items():
            if tag in tags:
                layers.append(layer_of(f"default of {each.name} with {tag}", choices))
    return layers


def pick(layers: Sequence[Layer]) -> list[Choice]:
    """Fill the slots: the highest layer wins a single one; lists are joined, less `without`.

    A layer that repeats everything below it, as a resolved recipe does, gives the order as well.
    """
    picks = []
    for single in SINGLE.values():
        given = None
        for layer in layers:
            given = layer.slots.get(single.name, given)
        if given is not None:
            name = _whole(hyphened(given.value))
            picks.append(Choice(single.name, single.kind, single.roles, name, given.where))
    dropped = names_in(layers, [WITHOUT])
    for slot in SEVERAL:
        joined: dict[str, Choice] = {}
        for layer in layers:
            refuse_twice(layer, slot)
            own: dict[str, Choice] = {}
            for name in layer.names(slot):
                if name not in dropped:
                    whole = _whole(name)
                    own[whole] = Choice(slot, slot, BOTH, whole, layer.slots[slot].where)
            order = own if joined.keys() <= own.keys() else joined
            # a choice that a layer repeats remains that of the layer below
            joined = {**order, **own, **joined}
        picks += joined.values()
    return picks


def names_in(layers: Iterable[Layer], slots: Iterable[str]) -> list[str]:
    """List the components that any layer chooses for any of these slots, each once."""
    names: list[str] = []
    for layer, slot in itertools.product(layers, slots):
        names += layer.names(slot)
    return list(dict.fromkeys(names))


def refuse_twice(layer: Layer, slot: str) -> None:
    """Raise UsageError where one layer chooses the same component twice under one name."""
    names = [_whole(name) for name in layer.names(slot)]
    for name in names:
        if names.count(name) > 1:
            alias = "other=" + name.rpartition("=")[2]
            fix = f"choose it once, or give one an alias: --{slot} {alias}"
            raise CompositionError(
                f"{slot} chooses {name!r} twice", where=layer.slots[slot].where, fix=fix
            )


def _whole(name: str) -> str:
    """Make the path of a component file absolute: a recipe then works from every folder."""
    alias, equals, wanted = name.rpartition("=")
    return f"{alias}{equals}{Path(wanted).absolute()}" if loading.is_file(name) else name


def dropped_names(layers: Sequence[Layer], exact: bool) -> tuple[str, ...]:
    """List what `without` leaves out. Raises UsageError for a name that is not chosen."""
    dropped = names_in(layers, [WITHOUT])
    if exact:
        # a resolved recipe states what was left out; its lists are without it already
        return tuple(dropped)
    # a recipe's choices for some data may be left out before it is known which data they are
    chosen = names_in(with_choices_for(TAGS_OF_DATA, layers), SEVERAL)
    for layer in layers:
        for name in layer.names(WITHOUT):
            if name in chosen:
                continue
            known = ", ".join(sorted(chosen)) or "none"
            raise UsageError(
                f"{name!r} is not chosen, so it cannot be left out",
                where=layer.slots[WITHOUT].where,
                fix=did_you_mean(name, chosen) or f"one of {known}",
            )
    return tuple(dropped)


def locate(pick: Choice, files: Callable[[str], bool]) -> discovery.Row | None:
    """Look a choice up without importing it; None for a component file.

    Raises UsageError where there is none.
    """
    try:
        if pick.alias:
            refuse_alias(pick.alias)
        if not loading.is_file(pick.wanted):
            return discovery.find(pick.wanted, pick.kind)
        # raises where there is no such file, before the question whether it may be run
        loading.split_file(pick.wanted)
        if not files(pick.wanted):
            raise UsageError(
                f"the recipe names a component file, {pick.wanted}, which would run code",
                fix=f"--{pick.slot} {pick.wanted} on the command line, if you trust it",
            )
    except UsageError as error:
        raise UsageError(
            error.what, where=f"{pick.slot} = {pick.name} ({pick.where})", fix=error.fix
        ) from None
    return None


def refuse_alias(alias: str) -> None:
    """Raise UsageError for an alias that no component may be published as, or a key of recipes."""
    if alias in RESERVED or not discovery.NAME_PATTERN.fullmatch(alias):
        raise UsageError(f"{alias!r} cannot be an alias", fix="lower-case words joined by hyphens")


def load_choice(pick: Choice, row: discovery.Row | None) -> Loaded:
    """Load the component of a choice that was located. Raises PluginError where it is broken."""
    if row is None:
        return Loaded(*loading.load_file(pick.wanted))
    return Loaded(row.name, loading.load(row), row.distribution, row.version)


def instantiate(
    picks: Sequence[Choice],
    found: Mapping[str, Loaded],
    layers: Sequence[Layer],
    settings: Settings,
) -> tuple[tuple[Component, ...], dict[str, str], set[str]]:
    """Make one object for each name, with its options; return the origins and tables read too."""
    chosen: dict[str, Component] = {}
    origins: dict[str, str] = {}
    read = {"run"}
    for each in picks:
        source = found[each.name]
        name = each.alias or source.name
        if name in chosen:
            if not serves_both_players(picks, each):
                fix = f"give one an alias: other={name}"
                raise CompositionError(f"{name!r} is chosen twice", where=each.where, fix=fix)
            # one object in both slots: the optimizer of both players, the norm of both networks
            chosen[name] = evolve(chosen[name], roles=chosen[name].roles | each.roles)
            continue
        # from the general to the particular, because within a layer a later table wins
        tables = list(dict.fromkeys([source.name, *addresses(picks, each), name]))
        read.update(tables)
        given = gather_options(layers, tables)
        values = read_options(name, options_of(source.cls), given)
        values |= run_lengths(name, options_of(source.cls), values, settings)
        component = make(name, source.cls, values, each.where)
        origins |= origins_of(name, given)
        chosen[name] = Component(
            name,
            each.kind,
            component,
            each.roles,
            source.name,
            source.distribution,
            source.version,
            each.where,
        )
    return tuple(chosen.values()), origins, read


def run_lengths(
    owner: str, declared: Mapping[str, Option], values: Mapping[str, Any], settings: Settings
) -> dict[str, int]:
    """Return the steps of the run for each option that is None and stands for them.

    Raises UsageError where the run is counted in epochs: how many steps these are is known only
    when the data is open.
    """
    found = {}
    for name, option in declared.items():
        if not option.run_length or values.get(option.name, option.default) is not None:
            continue
        if settings.epochs:
            raise UsageError(
                f"{owner}.{name} is to be the number of steps of the run, "
                "but the run is counted in epochs",
                where=f"{owner}.{name} = none",
                fix=f"--{owner}.{name} STEPS, or --steps for the run",
            )
        found[option.name] = max(1, settings.steps)
    return found


def serves_both_players(picks: Sequence[Choice], pick: Choice) -> bool:
    """Return whether another slot of one component chooses the same name as this one does."""
    if pick.slot in SEVERAL:
        return False
    for other in picks:
        if other.slot in SINGLE and other.slot != pick.slot and other.name == pick.name:
            return True
    return False


def make(name: str, cls: type, values: Mapping[str, Any], where: str) -> Any:
    """Make a component. Raises UsageError where its class refuses the options."""
    try:
        return cls(**values)
    except ValueError as error:
        raise UsageError(f"{name}: {error}", where=where, fix=f"gan plugins {name}") from None


def addresses(picks: Sequence[Choice], pick: Choice) -> list[str]:
    """List the tables that may hold a component's options: its slots, or `optim` for both."""
    slots = [each.slot for each in picks if each.name == pick.name and each.slot in SINGLE]
    shared = []
    for short_form, filled in SHORT_FORMS.items():
        # one object is in both slots then, so that the options of one are those of the other
        if set(filled) <= set(slots):
            shared.append(short_form)
    return shared or slots


def gather_options(layers: Sequence[Layer], tables: Sequence[str]) -> dict[str, Given]:
    """Merge the options that the layers give under any of these table names; later layers win."""
    given: dict[str, Given] = {}
    for layer in layers:
        for table in tables:
            given |= layer.options.get(table, {})
    return given


def origins_of(table: str, given: Mapping[str, Given]) -> dict[str, str]:
    """Return where each option of a table was given, by `table.option`."""
    return {f"{table}.{name}": each.where for name, each in given.items()}


def refuse_unread_options(layers: Sequence[Layer], user: Sequence[Layer], read: set[str]) -> None:
    """Refuse tables of options that no chosen component read. Raises UsageError.

    A recipe may have tables of components that it or a layer below chooses, although a higher layer
    replaces them. The last layer may not: nothing replaces its choices.
    """
    own: set[str] = set()
    for layer in layers:
        names = {name.rpartition("=")[2] for name in layer.all_names()}
        own = names if layer is layers[-1] else own | names
        if layer not in user:
            continue
        for table, options in layer.options.items():
            if table in read or table in own:
                continue
            first = next(iter(options.values()), None)
            raise UsageError(
                f"options are given for {table!r}, which is not chosen",
                where=layer.origin if first is None else first.where,
                fix=_fix_unread(table, read),
            )


def _fix_unread(table: str, read: set[str]) -> str:
    """Return how to fix options for a table that no chosen component read."""
    if table in (*SINGLE, *SHORT_FORMS):
        return "use the component's own name, or an alias for each player"
    for row in discovery.installed():
        if row.name == table:
            return f"--{row.kind} {table} chooses it"
    near = did_you_mean(table, read) or discovery.meant(table)
    return near or f"one of {', '.join(sorted(read))}"


def read_settings(layers: Sequence[Layer]) -> tuple[Settings, dict[str, str]]:
    """Read the `[run]` tables. Raises UsageError."""
    given = resolve_length(layers, gather_options(layers, ["run"]))
    settings = Settings(**read_options("run", options_of(Settings), given))
    settings.image_size  # noqa: B018 - refuses a size that is none
    return settings, origins_of("run", given)


def resolve_length(layers: Sequence[Layer], given: dict[str, Given]) -> dict[str, Given]:
    """Take the length of the run from the highest layer that gives one, in steps or in epochs.

    Where that layer gives steps alone, epochs of a layer below become 0. Where it gives epochs, the
    origin of the steps is marked as not used.
    """
    highest: Mapping[str, Given] = {}
    for layer in layers:
        table = layer.options.get("run", {})
        if "steps" in table or "epochs" in table:
            highest = table
    steps = highest.get("steps")
    epochs = highest.get("epochs")
    if epochs is None:
        if steps is not None and "epochs" in given:
            return {**given, "epochs": Given(0, steps.where)}
        return given
    # compared as text, because what was typed on a command line is not a number yet
    counts_epochs = str(epochs.value) != "0"
    if counts_epochs and steps is None and "steps" in given:
        unused = evolve(given["steps"], where=f"not used: {epochs.where}")
        return {**given, "steps": unused}
    return given


def option_values(each: Component) -> dict[str, Any]:
    """Return a component's options as they now are, by kebab-case name, ready for TOML."""
    declared: Any = type(each.component)
    values = {}
    for option in options_of(declared).values():
        values[option.name] = getattr(each.component, option.name)
    return plain(values)


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return options for TOML: names in kebab-case, None as `none`, tuples as lists."""
    written = plain_names(values)
    for name, value in written.items():
        if value is None:
            written[name] = "none"  # TOML has no null
        elif isinstance(value, tuple):
            written[name] = list(value)
    return written
