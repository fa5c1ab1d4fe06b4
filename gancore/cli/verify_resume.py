"""`gan verify-resume`: check on this machine that a composition resumes bit-identically."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from gancore.cli.choices import layer_of_words
from gancore.cli.composition import compose_run_or_recipe, split_argument
from gancore.cli.console import clean, note, say
from gancore.cli.flags import (
    component_options,
    composition_flags,
    flag_names,
    json_flag,
    variant_flags,
    variants_of,
)

if TYPE_CHECKING:
    from gancore.tools.verify_resume import Verdict

# settings of length and of writing, for which `verify` has values of its own
SET_BY_VERIFY = (
    "steps",
    "epochs",
    "log-every",
    "sample-every",
    "sample-epochs",
    "save-every",
    "keep",
)


@click.command(
    short_help="Check that a run resumes bit-identically.",
    context_settings={"ignore_unknown_options": True},
)
@composition_flags(leave_out=SET_BY_VERIFY)
@click.argument("composition", metavar="[RUN|RECIPE]", required=False)
@click.option(
    "--steps",
    metavar="N",
    type=click.IntRange(1),
    default=5,
    help="Steps before the interruption, and after it. [5]",
)
@variant_flags
@json_flag
@component_options
def verify_resume(
    composition: str | None,
    steps: int,
    small: bool,
    compat: bool,
    as_json: bool,
    extra: tuple[str, ...],
    **given: Any,
) -> None:
    """Check on this machine that the composition of RUN or RECIPE resumes bit-identically.

    In a temporary folder this trains N steps and N more in a new process, trains 2·N steps without
    interruption, and compares weights, optimizers, components, metrics rows and pictures. Flags of
    `gan run` that choose components or settings apply here too. If a bit differs, it prints what
    differs and by how much, and the exit code is 1.
    """
    composition, extra = split_argument(composition, extra)
    words = layer_of_words(given, extra, flag_names(), "gan verify-resume")
    variants = variants_of(small=small, compat=compat)
    chosen = compose_run_or_recipe(words, composition, variants)
    from gancore.hardware.startup import prepare_process
    from gancore.tools.verify_resume import verify

    prepare_process()
    with TemporaryDirectory(prefix="gan-verify-resume-") as folder:
        verdict = verify(chosen, steps, Path(folder), say)
    if as_json:
        print_verdict_json(verdict)
    else:
        print_verdict(verdict)
    print_suspects(verdict)
    sys.exit(1 if verdict.differences else 0)


def print_verdict_json(verdict: Verdict) -> None:
    """Print the verdict as JSON."""
    answer = {
        "same": not verdict.differences,
        "steps": verdict.steps,
        "tensors": verdict.tensors,
        "rows": verdict.rows,
        "pictures": verdict.pictures,
        "differences": list(verdict.differences),
    }
    click.echo(json.dumps(answer, indent=1))


def print_verdict(verdict: Verdict) -> None:
    """Print the verdict as text."""
    n = verdict.steps
    if not verdict.differences:
        click.echo(
            f"bit-identical: weights, optimizers and components ({verdict.tensors} tensors), "
            f"{verdict.rows} rows, {verdict.pictures} pictures"
        )
        return
    click.echo(f"not bit-identical: {n} + {n} steps differ from {2 * n} without interruption")
    for text in verdict.differences:
        click.echo(clean(f"  {text}"))


def print_suspects(verdict: Verdict) -> None:
    """Print notes on what may have caused the differences, if there are any."""
    if not verdict.differences:
        return
    for name in verdict.suspects:
        note(
            f"{name} has cached() fields, which are not saved: "
            "declare with state() what a resumed run needs"
        )
    if verdict.device != "cpu":
        note(
            f"some kernels of {verdict.device} are not deterministic; "
            "--device cpu shows whether a component is the cause"
        )
