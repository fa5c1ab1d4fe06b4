"""The doctor as part of a run."""

import torch

from gan_plugin_doctor.advice import Recipe
from gan_plugin_doctor.rules import examine
from gan_plugin_doctor.series import Log, Series
from gancore import cached, component, hookimpl, option, state

LIMIT = 512  # values kept of each figure
SERIES = "series/"  # before a figure's name, which may be any text


@component(
    source="garridoq/gan-guide, BenoitLeguay/GAN_IconClass and others; each finding names its own", state_version=2
)
class Doctor:
    """Watch the figures of the run and say when they look like a known fault, with numbers and something to try.

    A finding is told when it first appears, and again only after it was gone for `quiet` steps. It changes nothing,
    unless `on-fault` is stop: then a finding of severity fault ends the run. Each figure is kept as at most 512
    values, older ones ever sparser. `gan diagnose RUN` examines every row.
    """

    quiet: int = option(1000, ge=0, help="steps for which a finding must have been gone to be told again")
    on_fault: str = option("tell", choices=("tell", "stop"), help="whether a fault is only told, or also ends the run")
    log: Log = state(factory=lambda: Log(limit=LIMIT))
    seen: dict = state(factory=dict)  # rule → newest step at which it was found
    fault: str | None = state()  # the newest row's first fault
    recipe: Recipe = cached(factory=Recipe)  # of the run, which is asked for again after a resume

    @hookimpl
    def measure(self, progress):
        if not self.recipe:
            self.recipe = Recipe(progress.recipe)

    @hookimpl
    def record(self, row):
        self.log.add(row)
        findings, step = examine(self.log, self.recipe), self.log.step
        new = [each for each in findings if each.rule not in self.seen or step - self.seen[each.rule] > self.quiet]
        self.seen = {**self.seen, **{each.rule: step for each in findings}}
        self.fault = next((f"{each.rule}: {each.seen}" for each in findings if each.severity == "fault"), None)
        return "; ".join(map(sentence, new)) or None

    @hookimpl
    def stop(self, row):
        return self.fault if self.on_fault == "stop" else None

    def state_dict(self):
        """Return the state with each series of the log as a tensor `[2, n]` of steps and values."""
        series = {
            f"{SERIES}{figure}": torch.tensor([each.steps, each.values], dtype=torch.float64)
            for figure, each in self.log.series.items()
        }
        return {"seen": self.seen, "fault": self.fault, **series}

    def load_state_dict(self, state):
        self.seen = state["seen"]
        self.fault = state["fault"]
        self.log = Log(limit=LIMIT)
        for key, value in state.items():
            if isinstance(value, torch.Tensor):
                steps, values = value.tolist()
                self.log.series[key.removeprefix(SERIES)] = Series(list(map(int, steps)), values)

    def migrate(self, state, from_version):
        """Put the figures of form 1 under a prefix, so that one called `seen` or `fault` is no longer taken for it."""
        return {key if key in ("seen", "fault") else f"{SERIES}{key}": value for key, value in state.items()}


def sentence(finding):
    """Put a finding into one sentence."""
    return f"{finding.rule} since step {finding.since}: {finding.seen}. Try {finding.attempt}"
