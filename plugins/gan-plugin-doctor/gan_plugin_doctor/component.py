"""The doctor as a component of a run."""

import torch

from gan_plugin_doctor.advice import Recipe
from gan_plugin_doctor.rules import examine
from gan_plugin_doctor.series import Log, Series
from gancore import cached, component, hookimpl, option, state

LIMIT = 512  # values kept of each figure, so that a checkpoint stays small
SERIES = "series/"  # prefix of a figure's name, which may be any text


@component(
    source="garridoq/gan-guide, BenoitLeguay/GAN_IconClass and others; each finding names its own",
    state_version=2,
)
class Doctor:
    """Watch the figures of a run for signs of known faults, and report them with something to try.

    A finding is reported when it first appears, and again only after an absence of `quiet` steps.
    After a row was examined, the next one is that at which the run is 10 % longer; `gan diagnose
    RUN` examines the log at any time. The doctor changes nothing, unless `on-fault` is stop: then a
    finding of severity fault ends the run. At most 512 values of each figure are kept, older ones
    with lower resolution; `gan diagnose RUN` examines every row.
    """

    quiet: int = option(1000, ge=0, help="steps of absence after which a finding is reported again")
    on_fault: str = option(
        "tell", choices=("tell", "stop"), help="tell: only report a fault; stop: also end the run"
    )
    log: Log = state(factory=lambda: Log(limit=LIMIT))
    seen: dict = state(factory=dict)  # rule → newest step at which it was found
    fault: str | None = state()  # the first fault of the newest row that was examined
    due: int = state(0)  # no row before this step is examined
    recipe: Recipe = cached(factory=Recipe)  # read again after a resume

    @hookimpl
    def measure(self, progress):
        if not self.recipe:
            self.recipe = Recipe(progress.recipe)

    @hookimpl
    def record(self, row):
        self.log.add(row)
        step = self.log.step
        if step < self.due:
            return None
        # in small networks, to examine every row would cost a twentieth of the training
        self.due = step + step // 10
        findings = examine(self.log, self.recipe)
        new = [each for each in findings if self.is_new(each.rule, step)]
        self.seen = {**self.seen, **{each.rule: step for each in findings}}
        faults = (f"{each.rule}: {each.seen}" for each in findings if each.severity == "fault")
        self.fault = next(faults, None)
        return "; ".join(map(sentence, new)) or None

    def is_new(self, rule, step):
        """Return whether a rule has had no finding for more than `quiet` steps, or ever."""
        return rule not in self.seen or step - self.seen[rule] > self.quiet

    @hookimpl
    def stop(self, row):
        return self.fault if self.on_fault == "stop" else None

    def state_dict(self):
        """Return the state with each series of the log as a tensor `[2, n]` of steps and values."""
        series = {
            f"{SERIES}{figure}": torch.tensor([each.steps, each.values], dtype=torch.float64)
            for figure, each in self.log.series.items()
        }
        return {"seen": self.seen, "fault": self.fault, "due": self.due, **series}

    def load_state_dict(self, state):
        self.seen = state["seen"]
        self.fault = state["fault"]
        self.due = state.get("due", 0)  # checkpoints of version 2 have none
        self.log = Log(limit=LIMIT)
        for key, value in state.items():
            if isinstance(value, torch.Tensor):
                steps, values = value.tolist()
                self.log.series[key.removeprefix(SERIES)] = Series(list(map(int, steps)), values)

    def migrate(self, state, from_version):
        """Prefix the figures of form 1, so that none is taken for `seen` or `fault`."""
        return {
            key if key in ("seen", "fault") else f"{SERIES}{key}": value
            for key, value in state.items()
        }


def sentence(finding):
    """Format a finding as one sentence."""
    return f"{finding.rule} since step {finding.since}: {finding.seen}. Try {finding.attempt}"
