"""The page of a comparison: one HTML file without scripts that run, links or files beside it."""

from __future__ import annotations

import json
import shlex
from importlib.resources import files

from gan_plugin_plots.comparison.charts import draw_chart, look, points_for
from gan_plugin_plots.comparison.comparison import MARK, Comparison
from gan_plugin_plots.comparison.sheets import gather_pictures
from gan_plugin_plots.curves import printable
from gancore import progress_bar

DASHED = {"-": "solid", "--": "dashed", ":": "dotted", "-.": "double"}  # as CSS calls them


def write_page(comparison: Comparison) -> str:
    """Return the page; the same runs give the same bytes."""
    from jinja2 import Environment
    from markupsafe import Markup

    # every text that is not Markup is escaped
    environment = Environment(autoescape=True, finalize=readable, trim_blocks=True)
    template = environment.from_string(files(__package__).joinpath("page.html").read_text("utf-8"))
    runs = comparison.runs
    names = [line.name for line in comparison.lines]
    points = points_for(2 * len(names) * len(runs))
    charts = []
    lines = progress_bar(comparison.lines, len(comparison.lines), "drawing curves")
    for place, line in enumerate(lines):
        chart = Markup(draw_chart(line, runs, place, points))
        charts.append((line, chart))
    legend = []
    for place, label in enumerate(comparison.labels):
        colour, dashes = look(place)
        legend.append((label, colour, DASHED[dashes]))
    return template.render(
        comparison=comparison,
        names=names,
        mark=MARK,
        legend=legend,
        charts=charts,
        pictures=gather_pictures([run.path for run in runs]),
        commands=[f"gan run --recipe {shlex.quote(f'{run.path}/recipe.toml')}" for run in runs],
        records=Markup(script_block(comparison.as_json())),
    )


def readable(value):
    """Escape the control characters of a text, which HTML has not; line ends stay."""
    if type(value) is not str:
        return value
    return "\n".join(map(printable, value.split("\n")))


def script_block(value) -> str:
    """Return JSON that can end no script block."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False)
    # `<` occurs in texts alone, where JSON may write it so
    return text.replace("<", "\\u003c")
