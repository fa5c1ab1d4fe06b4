"""`gan verify-resume`: prove, on this machine, that a composition resumes to the same bits."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from gancore.cli.choices import layer_of_words
from gancore.cli.console import clean, note, say
from gancore.cli.run import compose_words, variants_of, with_slots, with_variants
from gancore.run import directory

if TYPE_CHECKING:
    from gancore.recipe.compose import Composition
    from gancore.recipe.toml import Layer
    from gancore.tools.verify_resume import Verdict

OWN_FLAGS = ("steps", "small", "compat", "json", "help")
SET_BY_TRIAL = ("steps", "epochs", "log-every", "sample-every", "sample-epochs", "save-every", "keep")


@click.command(context_settings={"ignore_unknown_options": True})
@partial(with_slots, leave_out=SET_BY_TRIAL)
@click.argument("composition", metavar="[RUN|RECIPE]", required=False)
@click.option(
    "--steps", metavar="N", type=click.IntRange(1), default=5, show_default=True,
    help="Steps before the interruption, and after it.",
)  # fmt: skip
@with_variants
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
@click.argument("extra", nargs=-1, type=click.UNPROCESSED)
def verify_resume(
    composition: str | None, steps: int, small: bool, compat: bool, as_json: bool, extra: tuple[str, ...], **given: Any
) -> None:
    """Prove that what RUN or RECIPE composes resumes to the same bits on this machine.

    In a temporary folder it trains N steps, goes on for N more in a fresh process, trains 2·N at once, and compares
    weights, optimisers, components, metrics rows and pictures. Any flag of `gan run` that chooses something holds.
    Exit code 1, and what differs by how much, where a bit differs.
    """
    if composition is not None and composition.startswith("--"):  # words for a component, and no recipe
        extra, composition = (composition, *extra), None
    words = layer_of_words(given, extra, OWN_FLAGS, "gan verify-resume")
    variants = variants_of(small=small, compat=compat)
    if composition is not None and Path(composition).is_dir():
        chosen = composition_of_run(Path(composition), words, variants)
    else:
        chosen = compose_words(words, composition, variants)
    from gancore.tools.verify_resume import verify

    with TemporaryDirectory(prefix="gan-verify-resume-") as folder:
        verdict = verify(chosen, steps, Path(folder), say)
    report(verdict, as_json)
    sys.exit(1 if verdict.differences else 0)


def composition_of_run(folder: Path, words: Layer, variants: list[str]) -> Composition:
    """Resolve a run's own recipe; a component file of it must be named by the user, as for resuming it."""
    directory.expect(folder)
    from gancore.errors import UsageError
    from gancore.recipe.compose import may_run
    from gancore.run.session import reopen

    if variants:
        raise UsageError(f"--{variants[0]} belongs to a recipe", where=f"--{variants[0]}", fix="leave it out")
    return reopen(folder, [words], may_run(words))


def report(verdict: Verdict, as_json: bool) -> None:
    """Print the verdict."""
    if as_json:
        answer = {
            "same": not verdict.differences, "steps": verdict.steps, "tensors": verdict.tensors, "rows": verdict.rows,
            "pictures": verdict.pictures, "differences": list(verdict.differences),
        }  # fmt: skip
        click.echo(json.dumps(answer, indent=1))
    elif verdict.differences:
        click.echo(
            f"not the same bits: {verdict.steps} + {verdict.steps} steps differ from {2 * verdict.steps} at once"
        )
        for text in verdict.differences:
            click.echo(clean(f"  {text}"))
    else:
        click.echo(
            f"the same bits: weights, optimisers and components ({verdict.tensors} tensors), {verdict.rows} rows, "
            f"{verdict.pictures} pictures"
        )
    if verdict.differences:
        for name in verdict.suspects:
            note(f"{name} has cached() fields, which are not saved: declare by state() what a resumed run needs")
        if verdict.device != "cpu":
            note(f"some kernels of {verdict.device} do not repeat themselves; --device cpu tells them from components")
