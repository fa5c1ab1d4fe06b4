"""`gan eval`: score samples, print a table and what it means, and keep the records."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gan_plugin_evaluation.record import FILE, append_records, read_records
from gancore import UsageError

if TYPE_CHECKING:
    from gan_plugin_evaluation.score import Evaluation

COLUMNS = {  # figure: its column
    "fd-ratio": "fd/floor", "kd-z": "kd z", "precision": "precision", "recall": "recall",
    "density": "density", "coverage": "coverage", "sw-ratio": "sw/floor", "copied": "copied",
    "diversity-gap": "MS-SSIM gap", "class-accuracy": "class acc.", "class-tv": "class tv",
    "entropy-conditional": "H(y|x)", "entropy-marginal": "H(y)", "cs": "cs",
}  # fmt: skip
# a figure that is shown alone would mislead: what is shown with it
TOGETHER = {
    "precision": ("recall", "coverage"),
    "density": ("coverage",),
    "fd-ratio": ("coverage",),
}
NAMES = {"fd": "fd-ratio", "kd": "kd-z", "sw": "sw-ratio"}
INCEPTION = ("fid", "kid", "is", "inception-score")
WIDE = 200  # columns of a table that is not printed on a terminal


@click.command(name="eval")
@click.argument("sources", metavar="RUN|FOLDER|FILES", nargs=-1, required=True)
@click.option(
    "--against",
    metavar="DATA",
    help="Data to compare with, a name or a path as for `gan run --data`. [those of the run]",
)
@click.option(
    "--train",
    metavar="DATA",
    help="Data that stored samples were trained on, if others: copies are looked for there.",
)
@click.option(
    "-n", "count", metavar="N", type=click.IntRange(6, 100_000), default=2000,
    help="Samples, and reals, to compare. [2000]",
)  # fmt: skip
@click.option("--features", metavar="NAME", help="Features of images; an unknown name lists them.")
@click.option(
    "--feature-weights", "weights", metavar="FILE", type=click.Path(path_type=Path),
    help="Weights of features that no package holds.",
)  # fmt: skip
@click.option("--metrics", metavar="NAMES", help="Figures to show, e.g. `fd,coverage`. [all]")
@click.option(
    "--size", metavar="N", type=click.IntRange(8, 1024), help="Side of the data's images in pixels."
)
@click.option("--seed", metavar="N", type=click.IntRange(0), default=0, help="Seed. [0]")
@click.option("--device", metavar="NAME", default="auto", help="auto, cpu or cuda. [auto]")
@click.option(
    "--plugin", "files", metavar="./FILE.py", multiple=True,
    help="Allow this component file of the run to be executed. Repeatable.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON on stdout.")
@click.option(
    "-o", "--out", metavar="FILE", type=click.Path(path_type=Path),
    help="File to add the records to. [evaluation.json in a run]",
)  # fmt: skip
def evaluate_samples(
    sources: tuple[str, ...], against: str | None, train: str | None, count: int,
    features: str | None, weights: Path | None, metrics: str | None, size: int | None, seed: int,
    device: str, files: tuple[str, ...], as_json: bool, out: Path | None,
) -> None:  # fmt: skip
    """Score the samples of a run, a folder or files against data.

    Beside them stand reals against other reals, which is the best score there is, and generators
    that are worth nothing: noise, a normal distribution, and copies of 50 training items.
    """
    shown = columns_of(metrics)
    # what cannot be kept is refused before an hour's work
    for place in places(sources, out):
        read_records(place)

    from gan_plugin_evaluation.score import DEFAULT_FEATURES, Setup, evaluate_all

    setup = Setup(
        n=count,
        features=features or DEFAULT_FEATURES,
        weights=weights,
        seed=seed,
        size=None if size is None else (size, size),
        device=device,
        files=files,
    )
    found = evaluate_all(sources, against, train=train, setup=setup)
    keep(found, out)
    if as_json:
        click.echo(json.dumps([as_dictionary(each) for each in found], indent=1))
    else:
        show(found, shown)


def columns_of(metrics: str | None) -> list[str]:
    """Return the figures to show, with those that no honest table leaves out beside them.

    Raises UsageError for a name that no figure has.
    """
    if metrics is None:
        return list(COLUMNS)
    wanted = set()
    for word in metrics.lower().split(","):
        name = NAMES.get(word.strip(), word.strip())
        if name in INCEPTION:
            raise inception(word.strip())
        if name not in COLUMNS:
            known = ", ".join([*NAMES, *(each for each in COLUMNS if each not in NAMES.values())])
            raise UsageError(f"no figure is called {word!r}", where="--metrics", fix=known)
        wanted |= {name, *TOGETHER.get(name, ())}
    return [name for name in COLUMNS if name in wanted]


def inception(word: str) -> UsageError:
    """Make the error for figures that only Inception-v3 has."""
    return UsageError(
        f"{word.upper()} is a figure of one Inception-v3, whose weights no package here holds",
        where=f"--metrics {word}",
        fix="fd and kd are the same formulas on offline features; for the original, install "
        "gan-plugin-inception and give a file of its weights: "
        "--features inception-v3-tf --feature-weights FILE",
    )


# ── records ───────────────────────────────────────────────────────────────────────────────────────


def places(sources: tuple[str, ...], out: Path | None) -> list[Path]:
    """Return the files that records will be added to."""
    if out is not None:
        return [out]
    return [Path(each) / FILE for each in sources if (Path(each) / "recipe.toml").is_file()]


def keep(found: list[Evaluation], out: Path | None) -> None:
    """Add the records of each evaluation to the file named, or to that of its run."""
    for each in found:
        place = out or (each.folder / FILE if each.folder else None)
        if place is not None:
            append_records(place, each.records())
            click.echo(f"{len(each.records())} records in {place}", err=True)


def as_dictionary(found: Evaluation) -> dict[str, Any]:
    """Return an evaluation for JSON."""
    from gan_plugin_evaluation.sentences import sentences

    return {
        "name": found.name,
        "figures": found.figures,
        "rows": found.rows,
        "records": found.records(),
        "sentences": sentences(found),
    }


# ── the table ─────────────────────────────────────────────────────────────────────────────────────


def show(found: list[Evaluation], shown: list[str]) -> None:
    """Print the table, and the sentences of each evaluation."""
    from rich.console import Console
    from rich.table import Table

    from gan_plugin_evaluation.sentences import sentences

    rows = {each.name: each.figures for each in found} | found[0].rows
    there = [name for name in shown if any(name in figures for figures in rows.values())]
    table = Table("", box=None, header_style="bold", pad_edge=False)
    for name in there:
        table.add_column(COLUMNS[name], justify="right", no_wrap=True)
    for row, figures in rows.items():
        table.add_row(row, *(cell(found[0], row, name, figures) for name in there))
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    console.print(table)
    click.echo()
    for each in found:
        for line in about(each, alone=len(found) == 1):
            click.echo(line)
        for sentence in sentences(each):
            click.echo(f"- {sentence}")


def about(found: Evaluation, *, alone: bool) -> list[str]:
    """Return the line that says what was compared with what."""
    drawn = "raw weights" if found.weights == "raw" else f"drawn by {found.weights}"
    where = "" if found.step is None else f" at step {found.step} ({drawn})"
    name = "" if alone and not where else f"{found.name}{where}: "
    return [
        f"{name}{found.n} samples against as many reals (split: {found.split}), features "
        f"{found.features['id']} {found.features['sha256'][:8]}, seed {found.seed}"
    ]


def cell(found: Evaluation, row: str, name: str, figures: dict[str, float]) -> str:
    """Write one figure; that of reals with its deviation over splits."""
    from gan_plugin_evaluation.yardstick import REALS

    if name not in figures:
        return "–"
    value = figures[name]
    digits = 1 if abs(value) >= 100 else 2
    text = f"{value:.{digits}f}"
    if row != REALS:
        return text
    raw = {ratio: plain for plain, ratio in NAMES.items()}.get(name, name)
    mean, deviation = found.floors.get(raw, (0.0, None))
    if deviation is None:
        return text
    if name == "kd-z":
        return f"{text} ±1.00"
    unit = mean if name in NAMES.values() else 1.0
    return f"{text} ±{deviation / unit:.2f}" if unit else text
