"""`gan run --dry-run`: the resolved composition, built and then forgotten."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from gancore.cli.console import clean, note, show_table
from gancore.guard.hooks import guarded
from gancore.hardware.device import choose_runtime
from gancore.plugins.slots import ROLES
from gancore.recipe.compose import option_values
from gancore.recipe.options import show
from gancore.run.session import open_data_of, prepare
from gancore.train.data import data_tags

if TYPE_CHECKING:
    from gancore.recipe.compose import Composition


def show_composition(composition: Composition, as_json: bool) -> None:
    """Print every choice and option with where it came from, the sizes of the networks, and the rules it breaks."""
    composition = guarded(composition)
    runtime = choose_runtime(composition.settings)
    data = open_data_of(composition)
    training = prepare(composition, data, runtime)
    gan, plan = training.context.gan, training.context.plan
    weights = {role: sum(weight.numel() for weight in gan.player(role).parameters) for role in ROLES}
    notes = [*composition.notes, *composition.check(data_tags(data))]
    facts = {"samples": len(data), "shape": list(plan.shape), "latent": plan.latent, "weights": weights}
    if as_json:
        about = {**facts, "notes": notes, "recipe": composition.recipe(), "origins": dict(composition.origins)}
        click.echo(json.dumps(about, indent=1))
        return
    show_table(("choice", "value", "from"), rows_of(composition))
    labels = ", ".join(f"{each.name} ({len(each)} classes)" for each in plan.label_sets) or "none"
    click.echo(f"\ndata: {len(data):,} samples of {'x'.join(map(str, plan.shape))}, labels: {clean(labels)}")
    click.echo(f"weights: generator {weights['generator']:,}, critic {weights['critic']:,}; latent {plan.latent}")
    for text in notes:
        note(text)


def rows_of(composition: Composition) -> list[tuple[str, str, str]]:
    """List every slot, setting and option as (name, value, origin)."""
    recipe, origins = composition.recipe(), composition.origins
    rows = [(slot, ", ".join(names), origins.get(slot, "")) for slot, names in composition.slots.items()]
    tables: dict[str, Any] = {"run": recipe["run"], **{each.name: option_values(each) for each in composition.chosen}}
    for table, values in tables.items():
        rows += [
            (f"{table}.{key}", show(value), origins.get(f"{table}.{key}", "default")) for key, value in values.items()
        ]
    return rows
