"""`gan run --dry-run`: print the resolved composition and the size of its networks."""

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
from gancore.run.prepare import prepare
from gancore.run.session import open_new
from gancore.train.data import data_tags

if TYPE_CHECKING:
    from gancore.recipe.compose import Composition


def show_composition(composition: Composition, as_json: bool, minutes: float | None = None) -> None:
    """Print every choice with its origin, the size of the networks, and notes on broken rules.

    With `minutes`, steps are measured to plan the length of the run.
    """
    composition = guarded(composition)
    runtime = choose_runtime(composition.settings)
    composition, data = open_new(composition, runtime, minutes)
    training = prepare(composition, data, runtime)
    gan = training.context.gan
    plan = training.context.plan
    weights = {}
    for role in ROLES:
        weights[role] = sum(weight.numel() for weight in gan.player(role).parameters)
    # the second check: the rules about the data need its tags, known since it was opened
    notes = [*composition.notes, *composition.check(data_tags(data))]
    if as_json:
        about = {
            "samples": len(data),
            "shape": list(plan.shape),
            "latent": plan.latent,
            "weights": weights,
            "notes": notes,
            "recipe": composition.recipe(),
            "origins": dict(composition.origins),
        }
        click.echo(json.dumps(about, indent=1))
        return
    show_table(("choice", "value", "from"), rows_of(composition))
    shape = "x".join(map(str, plan.shape))
    labels = ", ".join(f"{each.name} ({len(each)} classes)" for each in plan.label_sets) or "none"
    click.echo(f"\ndata: {len(data):,} samples of {shape}, labels: {clean(labels)}")
    click.echo(
        f"weights: generator {weights['generator']:,}, "
        f"critic {weights['critic']:,}; latent {plan.latent}"
    )
    for text in notes:
        note(text)


def rows_of(composition: Composition) -> list[tuple[str, str, str]]:
    """Return (name, value, origin) of every slot, setting and option."""
    origins = composition.origins
    rows = []
    for slot, names in composition.slots.items():
        rows.append((slot, ", ".join(names), origins.get(slot, "")))
    tables: dict[str, Any] = {"run": composition.recipe()["run"]}
    for each in composition.chosen:
        tables[each.name] = option_values(each)
    for table, values in tables.items():
        for key, value in values.items():
            name = f"{table}.{key}"
            rows.append((name, show(value), origins.get(name, "default")))
    return rows
