"""`python -m benchmarks.doctor recipes`: runs with a fault as recipes that anybody can run.

Each is one of the provoked runs of doctor_runs.py, word for word, with the doctor in it. Those that
need a component of the tests have no recipe, nor do those whose fault was not found.
"""

import json
from pathlib import Path

from benchmarks.doctor_runs import BAD

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "plugins" / "gan-plugin-doctor" / "gan_plugin_doctor" / "sick"
SETTINGS = ("size", "batch", "steps", "log-every", "sample-every", "seed")
MANY = ("hidden",)  # options that hold a list
LISTS = ("reg", "cond", "metric", "track")
# the doctor stays in a recipe, and checkpoints are saved as usual
LEFT_OUT = ("without", "save-every")

RECIPES = {
    "sick-saturating-loss": "a saturating loss and a fast critic",
    "sick-weak-critic": "a tiny slow critic",
    "sick-weak-generator": "a tiny slow generator",
    "sick-ignored-label": "a generator that does not see its label",
    "sick-standing-critic": "a critic that stands still under a penalty",
    "sick-no-penalty": "no penalty to speak of",
    "sick-clipped-weights": "weights driven to the bound",
    "sick-sigmoid": "a sigmoid at the end",
    "sick-one-mode": "one mode",
    "sick-frozen-palette": "a palette that freezes",
    "sick-one-latent-number": "one latent number",
    "sick-few-points": "four points",
    "sick-few-images": "few sprites",
    "sick-large-weights": "large weights",
    "sick-dead-units": "rectifiers that die",
    "sick-running-statistics": "slow running statistics",
    "sick-no-rate": "a critic of rate 1e-12",
    "sick-circle": "players that circle",
    "sick-loud-noise": "noise of 0.8",
}


def as_value(text, many=False):
    """Return a word of the command line as a TOML value."""
    if many:
        return [as_value(each) for each in text.split(",")]
    try:
        return json.loads(text)  # numbers and booleans are written alike
    except json.JSONDecodeError:
        return text


def tables_of(words):
    """Return the content of a recipe for a line of words: slots, and tables of options."""
    slots = {}
    tables = {"run": {}}
    for each in words.split("--")[1:]:
        name, _, value = each.strip().partition(" ")
        component, _, option = name.partition(".")
        if name in LEFT_OUT:
            continue
        if name in SETTINGS:
            tables["run"][name] = as_value(value)
        elif option:
            tables.setdefault(component, {})[option] = as_value(value, option in MANY)
        elif name in LISTS:
            slots.setdefault(name, []).append(value)
        else:
            slots[name] = value
    return slots, tables


def as_toml(value):
    return json.dumps(value)  # the same for strings, numbers, booleans and lists of them


def text_of(run):
    """Return the TOML of the recipe for a provoked run."""
    rules, words = BAD[run]
    slots, tables = tables_of(words)
    tables["about"] = {
        "source": "the runs that measure the doctor, benchmarks/doctor_runs.py",
        "shows": f"what `gan diagnose` finds: {' or '.join(rules.split())}",
        "reported": "docs/how-to/diagnose.md tells how often the rule is right",
    }
    lines = [f"# A fault put in: {run}", ""]
    lines += [f"{slot} = {as_toml(value)}" for slot, value in slots.items()]
    for name, table in tables.items():
        lines += ["", f"[{name}]"]
        lines += [f"{option} = {as_toml(value)}" for option, value in table.items()]
    return "\n".join(lines) + "\n"


def write():
    """Write all recipes, and remove those that are no longer listed."""
    for path in FOLDER.glob("*.toml"):
        path.unlink()
    for name, run in RECIPES.items():
        (FOLDER / f"{name}.toml").write_text(text_of(run))
    print(f"{len(RECIPES)} recipes: {FOLDER}")
